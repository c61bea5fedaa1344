{{/* The pod of a process or a job. Takes root, component, facts, monitored (it serves probes and metrics). */}}
{{- define "rendercast.pod" -}}
{{- $root := .root -}}
{{- $own := index $root.Values .facts.values -}}
{{- $shared := $root.Values.pods -}}
{{- $preStop := $own.preStopSeconds | default 0 | int -}}
{{- $files := include "rendercast.files" . | fromYaml -}}
{{- $secrets := $root.Values.secretsAsFiles | ternary (include "rendercast.secretFiles" . | trim) "" -}}
metadata:
  labels:
    {{- include "rendercast.selector" $root | nindent 4 }}
    app.kubernetes.io/component: {{ .component }}
    {{- range $name, $value := merge (dict) ($own.podLabels | default dict) ($shared.labels | default dict) }}
    {{ $name }}: {{ $value | quote }}
    {{- end }}
  {{- with merge (dict) ($own.podAnnotations | default dict) ($shared.annotations | default dict) }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  serviceAccountName: {{ include "rendercast.fullname" $root }}-{{ .component }}
  automountServiceAccountToken: false
  # A Service called rendercast-gateway would put RENDERCAST_GATEWAY_… into every pod, which is no setting of ours
  enableServiceLinks: false
  {{- with $root.Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 10001
    runAsGroup: 10001
    fsGroup: 10001
    fsGroupChangePolicy: OnRootMismatch
    seccompProfile:
      type: RuntimeDefault
  terminationGracePeriodSeconds: {{ add $preStop .facts.stop 10 }}
  {{- if .facts.once }}
  restartPolicy: Never
  {{- end }}
  {{- with $own.priorityClassName | default $shared.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with $own.nodeSelector | default $shared.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $own.tolerations | default $shared.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $own.affinity | default $shared.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if .monitored }}
  {{- with $shared.topologySpread }}
  topologySpreadConstraints:
    {{- range . }}
    - maxSkew: {{ .maxSkew | default 1 }}
      topologyKey: {{ .topologyKey }}
      whenUnsatisfiable: {{ .whenUnsatisfiable | default "ScheduleAnyway" }}
      labelSelector:
        matchLabels:
          {{- include "rendercast.selector" $root | nindent 10 }}
          app.kubernetes.io/component: {{ $.component }}
    {{- end }}
  {{- end }}
  {{- end }}
  containers:
    - name: {{ .component }}
      image: {{ include "rendercast.image" $root | quote }}
      imagePullPolicy: {{ $root.Values.image.pullPolicy }}
      {{- with .facts.command }}
      command: {{ toJson . }}
      {{- end }}
      {{- with .facts.args }}
      args: {{ toJson . }}
      {{- end }}
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities:
          drop: [ALL]
      env:
        {{- include "rendercast.env" . | trim | nindent 8 }}
      {{- if .monitored }}
      ports:
        - name: monitoring
          containerPort: 9464
        {{- if eq .component "gateway" }}
        - name: http
          containerPort: 8080
        {{- end }}
      # /healthz is answered by a thread of its own, from before recovery: neither probe fails while a process recovers or
      # while Kafka is away. /readyz is not used for startup: it would kill who only waits.
      startupProbe:
        httpGet: {path: /healthz, port: monitoring}
        periodSeconds: 2
        timeoutSeconds: 5
        failureThreshold: 60
      livenessProbe:
        httpGet: {path: /healthz, port: monitoring}
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 6
      readinessProbe:
        httpGet: {path: /readyz, port: monitoring}
        periodSeconds: 5
        timeoutSeconds: 5
        failureThreshold: 2
      {{- end }}
      {{- if $preStop }}
      lifecycle:
        preStop:
          exec:
            command: [sleep, {{ $preStop | quote }}]
      {{- end }}
      resources:
        {{- toYaml $own.resources | nindent 8 }}
      volumeMounts:
        - {name: tmp, mountPath: /tmp}
        {{- if eq .component "processor" }}
        - {name: store, mountPath: /var/lib/rendercast/processor}
        {{- end }}
        {{- range $section, $_ := $files }}
        - {name: files-{{ $section }}, mountPath: /etc/rendercast/{{ $section }}, readOnly: true}
        {{- end }}
        {{- if $secrets }}
        - {name: secrets, mountPath: /etc/rendercast/secrets, readOnly: true}
        {{- end }}
        {{- with $own.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
  volumes:
    - name: tmp
      emptyDir: {sizeLimit: 256Mi}
    {{- if and (eq .component "processor") (not $own.persistence.enabled) }}
    - name: store
      emptyDir: {sizeLimit: 64Mi}
    {{- end }}
    {{- range $section, $sources := $files }}
    - name: files-{{ $section }}
      projected:
        defaultMode: 0440
        sources:
          {{- range $sources }}
          - {{ if .secret }}secret{{ else }}configMap{{ end }}:
              name: {{ .secret | default .configMap }}
              {{- with .items }}
              items:
                {{- toYaml . | nindent 16 }}
              {{- end }}
          {{- end }}
    {{- end }}
    {{- if $secrets }}
    - name: secrets
      projected:
        defaultMode: 0440
        sources:
          {{- $secrets | nindent 10 }}
    {{- end }}
    {{- with $own.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end -}}
