package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"regexp"
	"strconv"
	"strings"
)

// textLine is one line that people read.
type textLine struct {
	number  int
	text    string
	comment bool // of a Go comment
}

// extractor returns the function that finds the text of a file by its name, or nil for files without text for people.
func extractor(name string) func(content string) ([]textLine, error) {
	switch path.Ext(name) {
	case ".go":
		return goText
	case ".md":
		return proseText
	case ".yml", ".yaml", ".mk":
		return allText
	}
	if base := path.Base(name); base == "Makefile" || base == "Dockerfile" {
		return allText
	}
	return nil
}

// goText returns the comments of a Go file and its string literals of more than one word. A generated file has no text of ours.
func goText(content string) ([]textLine, error) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, "", content, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	if ast.IsGenerated(file) {
		return nil, nil
	}
	var lines []textLine
	for _, group := range file.Comments {
		for _, c := range group.List {
			number := fset.Position(c.Pos()).Line
			for i, text := range strings.Split(c.Text, "\n") {
				text = strings.TrimSpace(strings.TrimPrefix(strings.TrimPrefix(text, "//"), "/*"))
				lines = append(lines, textLine{number + i, text, true})
			}
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if literal, ok := n.(*ast.BasicLit); ok && literal.Kind == token.STRING && strings.Contains(literal.Value, " ") {
			lines = append(lines, literalLines(literal, fset.Position(literal.Pos()).Line)...)
		}
		field, ok := n.(*ast.Field)
		return !ok || field.Tag == nil // what is in a tag is for encoders
	})
	return lines, nil
}

// literalLines returns the lines of a string literal that begins on the given line. A raw one has several.
func literalLines(literal *ast.BasicLit, number int) []textLine {
	if !strings.HasPrefix(literal.Value, "`") {
		text, err := strconv.Unquote(literal.Value)
		if err != nil {
			text = literal.Value
		}
		return []textLine{{number: number, text: text}}
	}
	var lines []textLine
	for i, text := range strings.Split(literal.Value, "\n") {
		lines = append(lines, textLine{number: number + i, text: text})
	}
	return lines
}

var inlineCode = regexp.MustCompile("`[^`]*`")

// proseText returns the lines of a page without what is quoted as code inside a line.
func proseText(content string) ([]textLine, error) {
	lines, err := allText(content)
	for i := range lines {
		lines[i].text = inlineCode.ReplaceAllString(lines[i].text, "``")
	}
	return lines, err
}

// allText returns every line.
func allText(content string) ([]textLine, error) {
	var lines []textLine
	for i, text := range strings.Split(content, "\n") {
		lines = append(lines, textLine{number: i + 1, text: text})
	}
	return lines, nil
}
