package board

// columns joins a table's queries by their labels and names their values.
func (p Panel) columns() []m {
	rename, order, hide := m{}, m{}, m{"Time": true}
	for i, query := range p.Queries {
		value := "Value #" + string(rune('A'+i))
		if len(p.Queries) == 1 {
			value = "Value"
		}
		rename[value] = query.Legend
		if isHidden(query.Legend) {
			hide[value] = true
		}
	}
	for i, name := range p.Columns {
		order[name] = i
	}
	out := []m{
		{"id": "merge", "options": m{}},
		{"id": "organize", "options": m{"excludeByName": hide, "renameByName": rename, "indexByName": order}},
	}
	if p.Sorted != "" {
		out = append(out, m{"id": "sortBy", "options": m{"sort": []m{{"field": p.Sorted, "desc": false}}}})
	}
	return out
}

// isHidden reports whether a query's value is always the same: only its labels are shown.
func isHidden(legend string) bool { return legend == "-" }

// columnOverrides returns the settings of columns, by name: units, texts and colours for values, and links.
func (p Panel) columnOverrides() []m {
	units := map[string]string{
		"memory": "bytes", "cpu": "percentunit", "up for": "s", "since": "dateTimeFromNow", "oldest": "s", "took": "s", "ready": "short",
	}
	links := map[string]m{
		"alertname": {"title": "Runbook", "url": "${__data.fields.runbooks}/${__value.raw}.md", "targetBlank": true},
		"board":     {"title": "Board", "url": "/d/${__value.raw}"},
	}
	out := []m{}
	for _, column := range p.Columns {
		properties := []m{}
		if unit, ok := units[column]; ok {
			properties = append(properties, m{"id": "unit", "value": unit})
		}
		if link, ok := links[column]; ok {
			properties = append(properties, m{"id": "links", "value": []m{link}})
		}
		if isState(column) && len(p.Names) > 0 {
			properties = append(properties, m{"id": "mappings", "value": p.mappings()}, m{"id": "custom.cellOptions", "value": m{"type": "color-background", "mode": "basic"}})
		}
		if len(properties) > 0 {
			out = append(out, m{"matcher": m{"id": "byName", "options": column}, "properties": properties})
		}
	}
	for _, column := range p.Hidden {
		out = append(out, m{"matcher": m{"id": "byName", "options": column}, "properties": []m{{"id": "custom.hidden", "value": true}}})
	}
	return out
}

// isState reports whether the values of a column have texts and colours of their own.
func isState(column string) bool {
	return column == "severity" || column == "state" || column == "alertstate" || column == "up" || column == "warning"
}
