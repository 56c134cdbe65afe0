{{- /* The settings as TOML. JSON's texts, numbers and truths are TOML's too; `toToml` would make whole numbers
       floats, which the settings refuse. */ -}}
{{- define "attune.toml" -}}
{{- range $section, $keys := .Values.settings }}
{{- if $keys }}
[{{ $section }}]
{{- range $key, $value := $keys }}
{{ $key }} = {{ toRawJson $value }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
