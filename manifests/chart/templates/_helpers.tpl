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

{{/* The alert rules with the changes of `alerts.rules`, as a YAML list. Takes a list: the root context and the rules. */}}
{{- define "gitsnap.rules" -}}
{{- $root := index . 0 -}}
{{- $rules := list -}}
{{- range $rule := index . 1 }}
{{- $change := index $root.Values.alerts.rules $rule.alert | default (dict) }}
{{- if dig "enabled" true $change }}
{{- with $change.for }}
{{- $_ := set $rule "for" . }}
{{- end }}
{{- with $change.labels }}
{{- $_ := set $rule "labels" (merge (dict) . $rule.labels) }}
{{- end }}
{{- $rules = append $rules $rule }}
{{- end }}
{{- end }}
{{- toYaml $rules }}
{{- end }}

{{/*
The plural of a kind, by the rules of controller-gen, as the admission policies build it. Takes the kind.
*/}}
{{- define "gitsnap.plural" -}}
{{- $name := lower . -}}
{{- if eq $name "endpoints" -}}
endpoints
{{- else if regexMatch "[^aeiou]y$" $name -}}
{{ trimSuffix "y" $name }}ies
{{- else if regexMatch "(s|x|z|ch|sh)$" $name -}}
{{ $name }}es
{{- else -}}
{{ $name }}s
{{- end -}}
{{- end }}

{{/*
The rights to read the kinds of `rbac.extraKinds`, and of `resources` of the Snapshots in the values: a map from a namespace
to a list of rules. "*" stands for all namespaces. The controller lists a kind in single namespaces if an entry has at most
eight namespaces without wildcards; then it needs no right elsewhere. For Secrets, `rbac.secrets` has the right; to list
them in all namespaces, the controller reads the names of the namespaces.
*/}}
{{- define "gitsnap.extraRules" -}}
{{- $kinds := dict -}}
{{- range $entry := .Values.rbac.extraKinds }}
{{- range $resource := $entry.resources }}
{{- $_ := set $kinds (printf "*/%s/%s" $entry.apiGroup $resource) "list watch" }}
{{- end }}
{{- end }}
{{- if .Values.rbac.kindsOfSnapshots }}
{{- range $spec := .Values.snapshots }}
{{- range $entry := $spec.resources }}
{{- $names := $entry.namespaces | default (list) }}
{{- $isSecret := and (eq $entry.kind "Secret") (not $entry.group) }}
{{- $isLiteral := and $names (not (regexMatch "[*?]" (join "" $names))) (or $isSecret (le (len $names) 8)) }}
{{- if $isSecret }}
{{- if not $.Values.rbac.secrets }}
{{- fail "a Snapshot in the values adds Secrets to its resources, which needs rbac.secrets" }}
{{- end }}
{{- if not $isLiteral }}
{{- $_ := set $kinds "*//namespaces" "list" }}
{{- end }}
{{- else }}
{{- range $namespace := ternary $names (list "*") (not (not $isLiteral)) }}
{{- $_ := set $kinds (printf "%s/%s/%s" $namespace ($entry.group | default "") (include "gitsnap.plural" $entry.kind)) "list watch" }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- $rules := dict -}}
{{- range $key, $verbs := $kinds }}
{{- $parts := splitList "/" $key }}
{{- $rule := dict "apiGroups" (list (index $parts 1)) "resources" (list (index $parts 2)) "verbs" (splitList " " $verbs) }}
{{- $_ := set $rules (first $parts) (append (index $rules (first $parts) | default list) $rule) }}
{{- end }}
{{- toYaml $rules }}
{{- end }}
