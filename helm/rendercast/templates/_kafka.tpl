{{/* As schemas/topics.py has them; a test compares. */}}
{{- define "rendercast.topics" -}}
commands: {cleanup.policy: delete, retention.ms: "604800000"}
upstream: {cleanup.policy: delete, retention.ms: "604800000"}
watches: {cleanup.policy: compact}
jobs: {cleanup.policy: compact}
completions: {cleanup.policy: delete, retention.ms: "2592000000"}
artifacts: {cleanup.policy: delete, retention.ms: "604800000"}
storage: {cleanup.policy: delete, retention.ms: "604800000"}
stored: {cleanup.policy: delete, retention.ms: "2592000000"}
dead-letters: {cleanup.policy: delete, retention.ms: "2592000000"}
positions: {cleanup.policy: compact}
{{- end -}}

{{/* What each process reads and writes, and its consumer group's setting. As rendercast/rights.py has it; a test compares. */}}
{{- define "rendercast.access" -}}
connector:
  read: [watches]
  write: [upstream, dead-letters]
  group: {setting: RENDERCAST_CONNECTOR__GROUP_ID, default: connector}
processor:
  read: [commands, upstream, jobs, positions]
  write: [jobs, positions, completions, watches, artifacts, storage, dead-letters]
  group: {setting: RENDERCAST_PROCESSOR__GROUP, default: processor, whole: true}
  transactions: true
chat-sink:
  read: [artifacts, stored]
  write: [dead-letters]
  group: {setting: RENDERCAST_CHATS__GROUP_ID, default: chats}
storage-sink:
  read: [storage]
  write: [stored, commands, dead-letters]
  group: {setting: RENDERCAST_STORAGE__GROUP_ID, default: storage}
gateway:
  read: [jobs]
  write: [commands]
{{- end -}}

{{/* A group's name: the value of its setting, below the prefix unless it is told whole. Takes environment, prefix, group. */}}
{{- define "rendercast.group" -}}
{{- $name := get .environment .group.setting -}}
{{- if and .group.whole $name -}}
{{ $name }}
{{- else -}}
{{ .prefix }}{{ $name | default .group.default }}
{{- end -}}
{{- end -}}

{{- define "rendercast.strimziMetadata" -}}
{{- with .Values.strimzi.namespace }}
namespace: {{ . }}
{{- end }}
labels:
  {{- include "rendercast.labels" . | nindent 2 }}
  strimzi.io/cluster: {{ .Values.strimzi.cluster }}
{{- end -}}
