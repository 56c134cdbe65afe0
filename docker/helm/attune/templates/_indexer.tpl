{{- /* Called with (dict "root" $ "source" what is read "claim" of the changes "args" more arguments). */ -}}

{{- /* The claim that the source is in; a pod that reads another need not wait for its volume. */ -}}
{{- define "attune.indexer.catalogue" -}}
{{- if hasPrefix "/catalogue" .source }}{{ .root.Values.indexer.catalogueClaim }}{{ end }}
{{- end }}

{{- /* What an indexer's pod runs. */ -}}
{{- define "attune.indexer.container" -}}
{{- $ix := .root.Values.indexer -}}
- name: indexer
  {{- include "attune.image" (dict "root" .root "of" $ix) | nindent 2 }}
  args:
    - index
    {{- with .source }}
    - {{ . | quote }}
    {{- end }}
    - {{ printf "--alias=%s" $ix.alias | quote }}
    - {{ printf "--rejects=%s" $ix.rejects | quote }}
    {{- if $ix.fields }}
    - --fields=/etc/attune/fields.toml
    {{- end }}
    {{- if not .source }}
    {{- range $option := list "table" "query" "watermark" "deleted" }}
    {{- with index $ix $option }}
    - {{ printf "--%s=%s" $option . | quote }}
    {{- end }}
    {{- end }}
    {{- end }}
    {{- range .args }}
    - {{ . | quote }}
    {{- end }}
  env:
    {{- include "attune.env" .root | nindent 4 }}
    {{- if .root.Values.existingSecret }}
    {{- include "attune.secret" (list .root "ATTUNE_DATABASE_URL" .root.Values.secretKeys.databaseUrl) | nindent 4 }}
    {{- end }}
    {{- if not (dig "model" "threads" 0 .root.Values.settings) }}
    # Not the machine's cores, of which the pod has some: its limit, rounded up.
    - name: ATTUNE_MODEL_THREADS
      valueFrom:
        resourceFieldRef: {containerName: indexer, resource: limits.cpu, divisor: "1"}
    {{- end }}
    {{- with $ix.extraEnv }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  resources:
    {{- toYaml $ix.resources | nindent 4 }}
  volumeMounts:
    {{- include "attune.mounts" .root | nindent 4 }}
    {{- if include "attune.indexer.catalogue" . }}
    - {name: catalogue, mountPath: /catalogue, readOnly: true}
    {{- end }}
    {{- with .claim }}
    - {name: changes, mountPath: /changes}
    {{- end }}
    {{- with $ix.extraVolumeMounts }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end }}

{{- define "attune.indexer.volumes" -}}
{{- include "attune.volumes" .root }}
- name: tmp # on disk; /dev/shm, of 64 MB, would not hold a large catalogue's temporary files
  emptyDir: {sizeLimit: {{ .root.Values.indexer.temporarySpace }}}
{{- with include "attune.indexer.catalogue" . }}
- name: catalogue
  persistentVolumeClaim: {claimName: {{ . | quote }}, readOnly: true}
{{- end }}
{{- with .claim }}
- name: changes
  persistentVolumeClaim: {claimName: {{ . | quote }}}
{{- end }}
{{- with .root.Values.indexer.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "attune.indexer.check" -}}
{{- $ix := .root.Values.indexer }}
{{- if not (or .source .root.Values.existingSecret $ix.extraEnv) }}
{{- fail "indexer.source is empty, so the catalogue is a database: its URL must be in existingSecret (secretKeys.databaseUrl)" }}
{{- end }}
{{- $claim := ternary .claim $ix.catalogueClaim (hasPrefix "/changes" .source) }}
{{- if and (hasPrefix "/" .source) (not (or $claim $ix.extraVolumeMounts)) }}
{{- fail (printf "the source %s is in no volume: set indexer.catalogueClaim (of changes, indexer.changes.claim), or indexer.extraVolumes and extraVolumeMounts" .source) }}
{{- end }}
{{- if not (or .source $ix.table $ix.query) }}
{{- fail "indexer.source is empty, so the catalogue is a database: say what to read of it by indexer.table or indexer.query" }}
{{- end }}
{{- if and $ix.table $ix.query }}
{{- fail "indexer.table and indexer.query exclude each other" }}
{{- end }}
{{- end }}
