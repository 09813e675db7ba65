{{- define "image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "injector.image" -}}
{{ .Values.injector.image.repository }}:{{ .Values.injector.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- /* resource (list . "limits" "cpu"): a quantity, or none */}}
{{- define "resource" -}}
{{- $value := get (get (index . 0).Values.resources (index . 1) | default dict) (index . 2) -}}
{{- if kindIs "string" $value }}{{ $value | default "none" }}{{ else if kindIs "invalid" $value }}none{{ else }}{{ int64 $value }}{{ end }}
{{- end }}

{{- define "env" -}}
{{- range $name, $value := .Values.env }}{{ $name }}={{ $value }}
{{ end }}
{{- end }}

{{- /* whether the cluster serves MutatingAdmissionPolicy; helm template knows no kinds, only a version */}}
{{- define "serves" -}}
{{- if .Capabilities.APIVersions.Has "v1/Pod" }}
{{- .Capabilities.APIVersions.Has "admissionregistration.k8s.io/v1/MutatingAdmissionPolicy" }}
{{- else }}
{{- semverCompare ">=1.36-0" .Capabilities.KubeVersion.Version }}
{{- end }}
{{- end }}
