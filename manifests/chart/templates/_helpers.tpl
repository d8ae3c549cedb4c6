{{/* The labels of every object. */}}
{{- define "gitsnap.labels" -}}
app.kubernetes.io/part-of: gitsnap
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{/* The image with its tag or its digest. */}}
{{- define "gitsnap.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end }}

{{/*
The objects of a file of the kustomize base, with the namespace of the release and the labels of the chart. The files are
those of manifests/base and manifests/overlays, so that both installations have the same rights and policies.
Takes a list: the root context and the name of the file.
*/}}
{{- define "gitsnap.objects" -}}
{{- $root := index . 0 -}}
{{- range $text := splitList "\n---\n" ($root.Files.Get (printf "files/%s.yaml" (index . 1))) }}
{{- $object := fromYaml $text }}
{{- include "gitsnap.place" (list $root $object) }}
---
{{ toYaml $object }}
{{- end }}
{{- end }}

{{/* Set namespace and labels of an object. Takes a list: the root context and the object, which is changed. */}}
{{- define "gitsnap.place" -}}
{{- $root := index . 0 -}}
{{- $object := index . 1 -}}
{{- $namespace := $root.Release.Namespace -}}
{{- if eq (dig "metadata" "namespace" "" $object) "gitsnap" }}
{{- $_ := set $object.metadata "namespace" $namespace }}
{{- end }}
{{- range $subject := $object.subjects }}
{{- $_ := set $subject "namespace" $namespace }}
{{- end }}
{{- $labels := merge (dict) (fromYaml (include "gitsnap.labels" $root)) (dig "metadata" "labels" (dict) $object) }}
{{- $_ := set $object.metadata "labels" $labels }}
{{- end }}
