package board

// columns joins a table's queries by their labels and names their values.
func (p Panel) columns() []m {
	rename, order := m{}, m{}
	for i, query := range p.Queries {
		value := "Value #" + string(rune('A'+i))
		if len(p.Queries) == 1 {
			value = "Value"
		}
		rename[value] = query.Legend
	}
	for i, name := range p.Columns {
		order[name] = i
	}
	hide := m{"Time": true}
	return []m{
		{"id": "merge", "options": m{}},
		{"id": "organize", "options": m{"excludeByName": hide, "renameByName": rename, "indexByName": order}},
	}
}

// units gives the columns that are no plain numbers theirs, by name.
func units(columns []string) []m {
	known := map[string]string{"memory": "bytes", "cpu": "percentunit", "up for": "s", "since": "dateTimeFromNow", "oldest": "s", "took": "s", "ready": "short"}
	out := []m{}
	for _, c := range columns {
		if unit, ok := known[c]; ok {
			out = append(out, m{"matcher": m{"id": "byName", "options": c}, "properties": []m{{"id": "unit", "value": unit}}})
		}
	}
	return out
}
