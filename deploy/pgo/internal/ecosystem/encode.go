package ecosystem

import (
	"bytes"
	"fmt"

	"go.yaml.in/yaml/v3"
)

// mapping is a YAML mapping with its order.
type mapping []entry

type entry struct {
	key   string
	value any // a scalar, a list of scalars, or a mapping
}

// encode returns the mapping as YAML. A process's own sections are on one line.
func (m mapping) encode() ([]byte, error) {
	var text bytes.Buffer
	encoder := yaml.NewEncoder(&text)
	encoder.SetIndent(2)
	node, err := m.node(0)
	if err == nil {
		err = encoder.Encode(node)
	}
	if err != nil {
		return nil, fmt.Errorf("write the process file: %w", err)
	}
	return text.Bytes(), encoder.Close()
}

// node returns the YAML of the mapping. From the depth of a process's sections it is on one line, except for the environment.
func (m mapping) node(depth int) (*yaml.Node, error) {
	const sections = 3
	mapped := &yaml.Node{Kind: yaml.MappingNode}
	for _, e := range m {
		value := &yaml.Node{}
		var err error
		switch of := e.value.(type) {
		case mapping:
			value, err = of.node(depth + 1)
			if depth+1 >= sections && e.key != "env" {
				value.Style = yaml.FlowStyle
			}
		default:
			err = value.Encode(of)
			if value.Kind == yaml.SequenceNode {
				value.Style = yaml.FlowStyle
			}
		}
		if err != nil {
			return nil, err
		}
		mapped.Content = append(mapped.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: e.key}, value)
	}
	return mapped, nil
}
