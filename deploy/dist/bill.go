package main

import (
	"bytes"
	"debug/buildinfo"
	"os"
	"strings"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

// writeBill writes the program's bill of materials (CycloneDX): the modules that are linked into it, as it says itself. It
// has no serial number and no other time than the stamp's, so that the same program has the same bill.
func writeBill(path string, p program, s stamp, binary string) error {
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return err
	}
	sum, err := sha256File(binary)
	if err != nil {
		return err
	}
	root := cdx.Component{
		BOMRef: p.Name, Type: cdx.ComponentTypeApplication, Name: p.Name, Version: s.Version,
		Hashes: &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: sum}},
	}
	goVersion := strings.TrimPrefix(info.GoVersion, "go")
	parts := []cdx.Component{moduleComponent("std", goVersion)}
	for _, m := range info.Deps {
		switch {
		case m.Replace == nil:
			parts = append(parts, moduleComponent(m.Path, m.Version))
		case strings.HasPrefix(m.Replace.Path, "."): // a directory of this repository
			parts = append(parts, cdx.Component{BOMRef: m.Path, Type: cdx.ComponentTypeLibrary, Name: m.Path, Version: s.Version})
		default:
			parts = append(parts, moduleComponent(m.Replace.Path, m.Replace.Version))
		}
	}
	refs := make([]string, len(parts))
	for n, part := range parts {
		refs[n] = part.BOMRef
	}
	bom := cdx.NewBOM()
	bom.Metadata = &cdx.Metadata{Timestamp: s.Time.Format(time.RFC3339), Component: &root}
	bom.Components = &parts
	bom.Dependencies = &[]cdx.Dependency{{Ref: root.BOMRef, Dependencies: &refs}}
	var text bytes.Buffer
	if err := cdx.NewBOMEncoder(&text, cdx.BOMFileFormatJSON).SetPretty(true).Encode(bom); err != nil {
		return err
	}
	return os.WriteFile(path, text.Bytes(), 0o644)
}

func moduleComponent(path, version string) cdx.Component {
	url := "pkg:golang/" + path + "@" + strings.ReplaceAll(version, "+", "%2B")
	return cdx.Component{BOMRef: url, Type: cdx.ComponentTypeLibrary, Name: path, Version: version, PackageURL: url}
}
