{{- define "microservice.selector" -}}
app.kubernetes.io/name: {{ .Values.name }}
{{- end }}

{{- define "microservice.metadata" -}}
name: {{ .Values.name }}
namespace: {{ .Release.Namespace }}
labels:
  {{- include "microservice.selector" . | nindent 2 }}
  app.kubernetes.io/part-of: trading
{{- end }}
