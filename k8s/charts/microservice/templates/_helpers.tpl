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

{{/* Seconds after which a rollout without progress has failed. They include the time to start new nodes. */}}
{{- define "microservice.progressDeadline" -}}
900
{{- end }}

{{/* Seconds for which Pulumi waits for the chart's objects: longer than the rollout. Its default is 600. */}}
{{- define "microservice.timeout" -}}
{{ add (include "microservice.progressDeadline" . | int) 60 }}
{{- end }}

{{/* Folder of the token for the Pod Identity agent (main.go in aws/amazon-eks-pod-identity-webhook). */}}
{{- define "microservice.tokenPath" -}}
/var/run/secrets/pods.eks.amazonaws.com/serviceaccount
{{- end }}
