{{- define "attune.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" }}
{{- end }}

{{- /* Short enough for a CronJob's name, of which Kubernetes takes 52 characters, with "-rebuild" behind it. */ -}}
{{- define "attune.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- else if contains (include "attune.name" .) .Release.Name }}
{{- .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "attune.name" .) | trunc 40 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "attune.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: attune
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{ include "attune.selector" . }}
{{- end }}

{{- define "attune.selector" -}}
app.kubernetes.io/name: {{ include "attune.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "attune.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "attune.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- /* The sidecar's port, as text: numbers in values may come as floats. */ -}}
{{- define "attune.port" -}}
{{- dig "sidecar" "port" 8080 .Values.settings | int }}
{{- end }}

{{- define "attune.scheme" -}}
{{- ternary "HTTPS" "HTTP" (or (ne .Values.sidecar.tlsSecret "") (ne (dig "sidecar" "tls_certificate" "" .Values.settings) "")) }}
{{- end }}
