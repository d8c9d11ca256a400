// Package query reads PromQL and LogQL and returns the metrics and labels that an expression needs.
package query

import (
	"fmt"
	"regexp"
	"slices"

	"github.com/grafana/loki/v3/pkg/logql/syntax"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// Use is one metric with the labels that an expression selects, groups or joins it by.
type Use struct {
	Metric string
	Labels []string // sorted
}

// grafanaVariables stand in an expression where Grafana puts values before it asks; the parser gets something of the same kind.
var grafanaVariables = regexp.MustCompile(`\$\{?(__rate_interval|__interval|__range|__auto)\}?`)

// Expand puts values in the place of Grafana's variables, so that the expression can be parsed: value in the place of the reader's.
func Expand(expr, value string) string {
	expr = grafanaVariables.ReplaceAllString(expr, "5m")
	return regexp.MustCompile(`\$\{?[a-z_]+(:[a-z]+)?\}?`).ReplaceAllLiteralString(expr, value)
}

// PromQL parses expr and returns the metrics that it uses, each once, in the order of their names.
func PromQL(expr string) ([]Use, error) {
	root, err := parser.NewParser(parser.Options{}).ParseExpr(expr)
	if err != nil {
		return nil, fmt.Errorf("parse PromQL: %w", err)
	}
	found := map[string]map[string]bool{}
	collect(root, nil, found)
	return uses(found), nil
}

// collect walks an expression. wanted are the labels that the expressions around node ask of it.
func collect(node parser.Node, wanted []string, found map[string]map[string]bool) {
	switch n := node.(type) {
	case *parser.VectorSelector:
		names := slices.Clone(wanted)
		metric := n.Name
		for _, m := range n.LabelMatchers {
			switch {
			case m.Name == model.MetricNameLabel:
				metric = m.Value
			// A matcher for "no such label" needs none.
			case !m.Matches("") || m.Type == labels.MatchNotEqual || m.Type == labels.MatchNotRegexp:
				names = append(names, m.Name)
			}
		}
		if found[metric] == nil {
			found[metric] = map[string]bool{}
		}
		for _, name := range names {
			found[metric][name] = true
		}
	case *parser.AggregateExpr:
		if !n.Without {
			wanted = slices.Clone(n.Grouping) // what is grouped away cannot be asked for from outside
		}
		collect(n.Expr, wanted, found)
		if n.Param != nil {
			collect(n.Param, nil, found)
		}
	case *parser.BinaryExpr:
		left, right := sides(n, wanted)
		collect(n.LHS, left, found)
		collect(n.RHS, right, found)
	case *parser.Call:
		if n.Func.Name == "label_replace" || n.Func.Name == "label_join" {
			wanted = nil // the labels asked for may be made here
		}
		if n.Func.Name == "histogram_quantile" {
			wanted = append(slices.Clone(wanted), "le")
		}
		for _, arg := range n.Args {
			collect(arg, wanted, found)
		}
	default:
		for child := range parser.ChildrenIter(node) {
			collect(child, wanted, found)
		}
	}
}

// sides returns the labels that the two sides of n need, so that its result has wanted.
func sides(n *parser.BinaryExpr, wanted []string) (left, right []string) {
	m := n.VectorMatching
	if m == nil {
		return wanted, wanted
	}
	var matching []string
	if m.On {
		matching = m.MatchingLabels
	}
	isIncluded := func(label string) bool { return slices.Contains(m.Include, label) }
	many := slices.Concat(slices.DeleteFunc(slices.Clone(wanted), isIncluded), matching)
	switch {
	case m.Card == parser.CardManyToOne:
		return many, slices.Concat(matching, m.Include)
	case m.Card == parser.CardOneToMany:
		return slices.Concat(matching, m.Include), many
	case n.Op == parser.LOR:
		return wanted, wanted
	case m.On, n.Op == parser.LAND, n.Op == parser.LUNLESS:
		return many, matching
	}
	return wanted, wanted
}

func uses(found map[string]map[string]bool) []Use {
	var out []Use
	for metric, names := range found {
		u := Use{Metric: metric}
		for name := range names {
			u.Labels = append(u.Labels, name)
		}
		slices.Sort(u.Labels)
		out = append(out, u)
	}
	slices.SortFunc(out, func(a, b Use) int {
		if a.Metric < b.Metric {
			return -1
		}
		return 1
	})
	return out
}

// LogQL parses expr and returns the stream labels that it selects by.
func LogQL(expr string) ([]string, error) {
	root, err := syntax.ParseExpr(expr)
	if err != nil {
		return nil, fmt.Errorf("parse LogQL: %w", err)
	}
	var names []string
	root.Walk(func(e syntax.Expr) bool {
		if m, ok := e.(*syntax.MatchersExpr); ok {
			for _, matcher := range m.Mts {
				if !slices.Contains(names, matcher.Name) {
					names = append(names, matcher.Name)
				}
			}
		}
		return true
	})
	slices.Sort(names)
	return names, nil
}
