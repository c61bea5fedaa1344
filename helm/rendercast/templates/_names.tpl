{{- define "rendercast.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* Before every object's name. Short enough for the longest suffix and a StatefulSet's revision hash. */}}
{{- define "rendercast.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains (include "rendercast.name" .) .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "rendercast.name" .) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "rendercast.selector" -}}
app.kubernetes.io/name: {{ include "rendercast.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "rendercast.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "rendercast.selector" . }}
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | trunc 63 | regexFind "^.*[a-zA-Z0-9]" | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "rendercast.image" -}}
{{- $image := .Values.image -}}
{{- if $image.digest -}}
{{ $image.repository }}@{{ $image.digest }}
{{- else -}}
{{ $image.repository }}:{{ $image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{/*
What each process is: its values, its arguments, the sections of settings it reads, where it may connect to, its metric of
load, and how long it may take to end (seconds from SIGTERM, see ARCHITECTURE.md).
*/}}
{{- define "rendercast.components" -}}
connector:
  values: connector
  args: [connector]
  sections: [kafka, topics, log, tracing, connector]
  egress: [kafka, upstream, outside]
  load: rendercast_upstream_watches
  partitioned: true
  stop: 10
processor:
  values: processor
  args: [processor]
  sections: [kafka, topics, log, tracing, processor]
  egress: [kafka]
  load: rendercast_processor_lag_offsets
  partitioned: true
  stop: 10
chat-sink:
  values: chatSink
  args: [sink, chats]
  sections: [kafka, topics, log, tracing, chats]
  egress: [kafka, database]
  load: rendercast_chats_lag_records
  partitioned: true
  stop: 10
storage-sink:
  values: storageSink
  args: [sink, storage]
  sections: [kafka, topics, log, tracing, storage]
  egress: [kafka, objectStore, outside]
  load: rendercast_storage_lag_records
  partitioned: true
  stop: 10
gateway:
  values: gateway
  args: [gateway]
  sections: [kafka, topics, log, tracing, gateway{{ if .Values.gateway.generate }}, connector{{ end }}{{ if .Values.gateway.chats }}, chats{{ end }}]
  egress: [kafka{{ if .Values.gateway.generate }}, upstream, outside{{ end }}{{ if .Values.gateway.chats }}, database{{ end }}]
  load: rendercast_gateway_streams
  partitioned: false
  stop: 10
{{- end -}}

{{- define "rendercast.jobs" -}}
{{- if and .Values.topicsJob.enabled (not .Values.strimzi.topics.enabled) }}
topics:
  values: topicsJob
  args: [topics, apply]
  sections: [kafka, topics, log]
  egress: [kafka]
  once: true
  stop: 10
{{- end }}
{{- $gateway := and .Values.gateway.enabled .Values.gateway.chats }}
{{- if and .Values.migrationsJob.enabled (or .Values.chatSink.enabled $gateway) }}
migrations:
  values: migrationsJob
  args: [db, upgrade]
  sections: [log, chats]
  borrows: [{section: chats, from: {{ .Values.chatSink.enabled | ternary "chatSink" "gateway" }}}]
  egress: [database]
  once: true
  stop: 10
{{- end }}
{{- end -}}

{{/* A pod to run commands in by hand: it has the settings of all processes that are enabled, and may reach what they reach. */}}
{{- define "rendercast.toolbox" -}}
{{- if .Values.toolbox.enabled }}
{{- $sections := list "kafka" "topics" "log" }}
{{- $borrows := list }}
{{- $egress := list "kafka" }}
{{- $of := dict "connector" "connector" "processor" "processor" "chat-sink" "chats" "storage-sink" "storage" "gateway" "gateway" }}
{{- range $component, $facts := include "rendercast.components" . | fromYaml }}
{{- if (index $.Values $facts.values).enabled }}
{{- $sections = concat $sections $facts.sections }}
{{- $egress = concat $egress $facts.egress }}
{{- $borrows = append $borrows (dict "section" (get $of $component) "from" $facts.values) }}
{{- end }}
{{- end }}
{{- if and (has "chats" $sections) (not .Values.chatSink.enabled) }}
{{- $borrows = append $borrows (dict "section" "chats" "from" "gateway") }}
{{- end }}
{{- if and (has "connector" $sections) (not .Values.connector.enabled) }}
{{- $borrows = append $borrows (dict "section" "connector" "from" "gateway") }}
{{- end }}
toolbox:
  values: toolbox
  command: [sleep, infinity]
  sections: {{ without (uniq $sections) "tracing" | toJson }}
  borrows: {{ $borrows | toJson }}
  egress: {{ uniq $egress | toJson }}
  stop: 10
{{- end }}
{{- end -}}

{{- define "rendercast.scaleDown" -}}
scaleUp:
  stabilizationWindowSeconds: 30
scaleDown: # each step is a rebalance
  stabilizationWindowSeconds: {{ .scaleDownAfterSeconds }}
  policies: [{type: Pods, value: 1, periodSeconds: 60}]
{{- end -}}
