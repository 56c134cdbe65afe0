{{- /* What all pods have in common. Called with (dict "root" $ "of" .Values.sidecar or .indexer). */ -}}
{{- define "attune.pod" -}}
serviceAccountName: {{ include "attune.serviceAccount" .root }}
automountServiceAccountToken: false
# Kubernetes would set variables such as ATTUNE_SIDECAR_PORT for Services; Attune takes those for settings.
enableServiceLinks: false
securityContext:
  {{- toYaml .root.Values.podSecurityContext | nindent 2 }}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .of.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .of.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .of.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .of.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "attune.image" -}}
{{- $tag := default .root.Chart.AppVersion .of.image.tag -}}
image: {{ printf "%s:%s" .of.image.repository $tag | quote }}
imagePullPolicy: {{ .of.image.pullPolicy }}
securityContext:
  {{- toYaml .root.Values.securityContext | nindent 2 }}
{{- end }}

{{- /* One variable of the Secret, left unset where the Secret lacks it: (list root variable key). */ -}}
{{- define "attune.secret" -}}
{{- $root := index . 0 -}}
- name: {{ index . 1 }}
  valueFrom:
    secretKeyRef: {name: {{ $root.Values.existingSecret | quote }}, key: {{ index . 2 | quote }}, optional: true}
{{- end }}

{{- define "attune.env" -}}
- {name: ATTUNE_CONFIG, value: /etc/attune/attune.toml}
- {name: TMPDIR, value: /tmp}
{{- if .Values.existingSecret }}
{{ include "attune.secret" (list . "ATTUNE_OPENSEARCH_USER" .Values.secretKeys.opensearchUser) }}
{{ include "attune.secret" (list . "ATTUNE_OPENSEARCH_PASSWORD" .Values.secretKeys.opensearchPassword) }}
{{- end }}
{{- end }}

{{- define "attune.mounts" -}}
- {name: settings, mountPath: /etc/attune, readOnly: true}
- {name: tmp, mountPath: /tmp}
{{- if .Values.modelVolume }}
- {name: models, mountPath: /models, readOnly: true}
{{- end }}
{{- end }}

{{- define "attune.volumes" -}}
- name: settings
  configMap: {name: {{ include "attune.fullname" . }}}
{{- with .Values.modelVolume }}
- name: models
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
