{{- define "logdb.name" -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "logdb.selector" -}}
app.kubernetes.io/name: logdb
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .role }}
{{- end -}}

{{- define "logdb.labels" -}}
{{ include "logdb.selector" . }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: logdb-{{ .root.Chart.Version }}
{{- end -}}

{{/* The pod of either role: .root, .role, .own (values of the role), .wal. */}}
{{- define "logdb.pod" -}}
{{- $v := .root.Values -}}
metadata:
  labels:
    {{- include "logdb.labels" . | nindent 4 }}
  annotations:
    prometheus.io/scrape: "true"
    prometheus.io/port: "8081"
spec:
  serviceAccountName: {{ include "logdb.name" .root }}
  automountServiceAccountToken: false
  # drain-delay, drain-timeout (20 s), and what the last shipment to the bucket takes.
  terminationGracePeriodSeconds: 90
  securityContext:
    runAsNonRoot: true
    runAsUser: 65532
    runAsGroup: 65532
    fsGroup: 65532
    fsGroupChangePolicy: OnRootMismatch
    seccompProfile: {type: RuntimeDefault}
  {{- with $v.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .own.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .own.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - name: logdb
      image: "{{ $v.image.repository }}:{{ $v.image.tag }}"
      imagePullPolicy: {{ $v.image.pullPolicy }}
      args: [serve]
      env:
        {{- include "logdb.env" . | nindent 8 }}
      {{- with $v.credentialsSecret }}
      envFrom:
        - secretRef: {name: {{ . | quote }}}
      {{- end }}
      ports:
        - {name: http, containerPort: 8080}
        - {name: admin, containerPort: 8081}
      # The admin address answers these without TLS and without a token.
      startupProbe:
        httpGet: {path: /healthz, port: admin}
        periodSeconds: 2
        failureThreshold: 150
      livenessProbe:
        httpGet: {path: /healthz, port: admin}
        periodSeconds: 10
        timeoutSeconds: 5
      readinessProbe:
        httpGet: {path: /readyz, port: admin}
        periodSeconds: 2
        failureThreshold: 2
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities: {drop: [ALL]}
      resources:
        {{- toYaml .own.resources | nindent 8 }}
      {{- if or .wal $v.tokensSecret $v.tls.secret }}
      volumeMounts:
        {{- if .wal }}
        - {name: wal, mountPath: /var/lib/logdb}
        {{- end }}
        {{- if $v.tokensSecret }}
        - {name: tokens, mountPath: /etc/logdb/tokens, readOnly: true}
        {{- end }}
        {{- if $v.tls.secret }}
        - {name: tls, mountPath: /etc/logdb/tls, readOnly: true}
        {{- end }}
      {{- end }}
  {{- if or $v.tokensSecret $v.tls.secret }}
  volumes:
    {{- with $v.tokensSecret }}
    - name: tokens
      secret: {secretName: {{ . | quote }}}
    {{- end }}
    {{- with $v.tls.secret }}
    - name: tls
      secret: {secretName: {{ . | quote }}}
    {{- end }}
  {{- end }}
{{- end -}}

{{- define "logdb.env" -}}
- {name: LOGDB_BUCKET, value: {{ required "bucket: the URL of a bucket is needed" .root.Values.bucket | quote }}}
- {name: LOGDB_LISTEN, value: ":8080"}
- {name: LOGDB_ADMIN, value: ":8081"}
{{- if .wal }}
# Not at its top, where file systems keep lost+found.
- {name: LOGDB_WAL, value: /var/lib/logdb/wal}
{{- else }}
- {name: LOGDB_READ_ONLY, value: "true"}
{{- end }}
{{- if .root.Values.tokensSecret }}
- {name: LOGDB_TOKENS, value: /etc/logdb/tokens/tokens}
{{- end }}
{{- if .root.Values.tls.secret }}
- {name: LOGDB_TLS_CERT, value: /etc/logdb/tls/tls.crt}
- {name: LOGDB_TLS_KEY, value: /etc/logdb/tls/tls.key}
{{- if .root.Values.tls.clientCA }}
- {name: LOGDB_TLS_CLIENT_CA, value: /etc/logdb/tls/ca.crt}
{{- end }}
{{- end }}
{{- range $name, $value := merge (dict) .own.settings .root.Values.settings }}
- {name: {{ printf "LOGDB_%s" ($name | upper | replace "-" "_") }}, value: {{ $value | toString | quote }}}
{{- end }}
{{- end -}}
