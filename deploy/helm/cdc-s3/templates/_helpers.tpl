{{- define "cdc-s3.labels" -}}
app.kubernetes.io/name: cdc-s3
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}
{{- define "cdc-s3.selector" -}}
app.kubernetes.io/name: cdc-s3
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}
{{- define "cdc-s3.fullname" -}}
{{ .Release.Name | trunc 40 | trimSuffix "-" }}
{{- end }}
{{- define "cdc-s3.account" -}}
{{ .Values.serviceAccount.name | default (include "cdc-s3.fullname" .) }}
{{- end }}
{{- define "cdc-s3.pod" -}}
serviceAccountName: {{ include "cdc-s3.account" . }}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  seccompProfile: { type: RuntimeDefault }
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
volumes:
  - name: config
    configMap: { name: {{ include "cdc-s3.fullname" . }} }
{{- end }}
{{- define "cdc-s3.container" -}}
image: "{{ .root.Values.image.repository }}:{{ .root.Values.image.tag | default .root.Chart.AppVersion }}"
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
args: [{{ .command }}, --config, /etc/cdc-s3/cdc-s3.conf]
envFrom: [{ secretRef: { name: {{ .root.Values.existingSecret }} } }]
volumeMounts: [{ name: config, mountPath: /etc/cdc-s3, readOnly: true }]
resources: {{- toYaml .resources | nindent 2 }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: { drop: [ALL] }
{{- end }}
