package config

import (
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/spf13/pflag"
)

// Schema returns the JSON schema of the configuration file, for editors and for checks
// before it is used. known are the flags that the file may set, by name. It is read off
// what reads the file, so that the two say the same.
func Schema(known map[string]*pflag.Flag, providers []string) map[string]any {
	properties := map[string]any{}
	for name, f := range known {
		property := kindSchema(f.Value.Type())
		if name == "endpoint" {
			property = endpointsSchema(providers)
		}
		property["description"] = strings.Join(strings.Fields(strings.ReplaceAll(f.Usage, "`", "")), " ")
		if value, ok := defaultOf(f); ok {
			property["default"] = value
		}
		properties[name] = property
	}
	for name, s := range structures() {
		list := map[string]any{"type": "array", "description": s.help, "items": map[string]any{"type": "string"}}
		describe := func(what string, settings map[string]entrySetting) {
			switch {
			case settings != nil && what == name: // it is one mapping, and no list
				list = entrySchema(settings)
				list["description"] = s.help
			case settings != nil:
				list["items"] = entrySchema(settings)
			}
		}
		_ = s.read(&fileReader{describe: describe, options: New(providers)}, ast.Null(nil)) // it reads nothing
		properties[name] = list
	}
	return map[string]any{
		"$schema":              "https://json-schema.org/draft/2020-12/schema",
		"title":                "tallyman/config.yaml",
		"description":          "Settings of tallyman. Flags and variables of the environment count before them. No secret is in this file.",
		"type":                 "object",
		"properties":           properties,
		"additionalProperties": false,
	}
}

// kindSchema is the schema of a value that a flag of that type takes.
func kindSchema(kind string) map[string]any {
	switch kind {
	case "bool":
		return map[string]any{"type": "boolean"}
	case "int":
		return map[string]any{"type": "integer"}
	case "float64":
		return map[string]any{"type": "number"}
	case "SIZE", "DURATION":
		return map[string]any{"type": []string{"string", "integer"}}
	case "stringSlice":
		return map[string]any{"type": []string{"string", "array"}, "items": map[string]any{"type": "string"}}
	}
	if strings.Contains(kind, "|") {
		return map[string]any{"enum": strings.Split(kind, "|")}
	}
	return map[string]any{"type": "string"}
}

// endpointsSchema is the schema of URLs by the names of their providers.
func endpointsSchema(providers []string) map[string]any {
	each := map[string]any{}
	for _, provider := range providers {
		each[provider] = map[string]any{"type": "string"}
	}
	return map[string]any{"type": "object", "properties": each, "additionalProperties": false}
}

// entrySchema is the schema of an entry of a list.
func entrySchema(settings map[string]entrySetting) map[string]any {
	properties := map[string]any{}
	for name, s := range settings {
		property := kindSchema(s.kind)
		if s.setEach != nil {
			property = map[string]any{"type": []string{"string", "object"}, "additionalProperties": map[string]any{"type": "string"}}
		}
		properties[name] = property
	}
	return map[string]any{"type": "object", "properties": properties, "additionalProperties": false}
}

// defaultOf is the default of a flag as the schema has it, if it has any.
func defaultOf(f *pflag.Flag) (any, bool) {
	switch f.Value.Type() {
	case "bool":
		return f.DefValue == "true", true
	case "int", "float64":
		n, err := strconv.ParseFloat(f.DefValue, 64)
		return n, err == nil
	case "stringSlice":
		return nil, false
	}
	return f.DefValue, f.DefValue != "" && !strings.HasPrefix(f.DefValue, "map[")
}
