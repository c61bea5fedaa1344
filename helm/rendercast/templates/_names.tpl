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
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | trunc 63 | quote }}
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
  stop: 10
{{- end }}
{{- if and .Values.migrationsJob.enabled .Values.chatSink.enabled }}
migrations:
  values: migrationsJob
  args: [db, upgrade]
  sections: [log, chats]
  egress: [database]
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
