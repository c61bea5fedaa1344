{{/* Settings flattened into `into`, by the name of their environment variable. What comes later wins. */}}
{{- define "rendercast.settings" -}}
{{- range $name, $value := .values -}}
{{- $variable := printf "%s%s" $.prefix (upper $name) -}}
{{- if kindIs "map" $value -}}
{{- include "rendercast.settings" (dict "into" $.into "prefix" (printf "%s__" $variable) "values" $value) -}}
{{- else if not (kindIs "invalid" $value) -}}
{{- /* JSON, because a number printed otherwise can be 1.048576e+06 */ -}}
{{- $_ := set $.into $variable (kindIs "string" $value | ternary $value (toJson $value)) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The same for secrets: a variable's value is then a map {name, key}. */}}
{{- define "rendercast.secretSettings" -}}
{{- range $name, $reference := .values -}}
{{- if $reference -}}
{{- $_ := set $.into (printf "%s%s" $.prefix (upper $name)) $reference -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* What a KafkaUser of this chart gives its process: {config, secrets, files} of the section kafka. */}}
{{- define "rendercast.kafkaUser" -}}
{{- $root := .root -}}
{{- if and $root.Values.strimzi.users.enabled (has "kafka" .facts.sections) -}}
{{- $user := printf "%s-%s" (include "rendercast.fullname" $root) .component -}}
{{- $ca := printf "%s-cluster-ca-cert" $root.Values.strimzi.cluster -}}
{{- if eq $root.Values.strimzi.users.authentication "tls" -}}
config:
  security_protocol: SSL
  ssl_cafile: /etc/rendercast/kafka/ca.crt
  ssl_certfile: /etc/rendercast/kafka/user.crt
  ssl_keyfile: /etc/rendercast/kafka/user.key
secrets: {}
files:
  - {secret: {{ $ca }}, items: [{key: ca.crt, path: ca.crt}]}
  - {secret: {{ $user }}, items: [{key: user.crt, path: user.crt}, {key: user.key, path: user.key}]}
{{- else -}}
config:
  security_protocol: SASL_SSL
  sasl_mechanism: SCRAM-SHA-512
  sasl_username: {{ $user }}
  ssl_cafile: /etc/rendercast/kafka/ca.crt
secrets:
  sasl_password: {name: {{ $user }}, key: password}
files:
  - {secret: {{ $ca }}, items: [{key: ca.crt, path: ca.crt}]}
{{- end -}}
{{- end -}}
{{- end -}}

{{/*
Every RENDERCAST_… variable of a process, into `into`. First what the chart itself knows of Kafka's users, then the values for
all, then what it borrows (each lender's own of one section), then the process's own, then what the pod decides.
*/}}
{{- define "rendercast.environment" -}}
{{- $into := .into -}}{{- $sections := .facts.sections -}}
{{- $own := index .root.Values .facts.values -}}
{{- $user := include "rendercast.kafkaUser" . | fromYaml -}}
{{- $layers := list
  (dict "config" (dict "kafka" $user.config) "secrets" (dict "kafka" $user.secrets))
  (dict "config" .root.Values.config "secrets" .root.Values.secrets) -}}
{{- range .facts.borrows -}}
{{- $lender := index $.root.Values .from -}}
{{- $layers = append $layers (dict "config" (pick ($lender.config | default dict) .section) "secrets" (pick ($lender.secrets | default dict) .section)) -}}
{{- end -}}
{{- $layers = append $layers (dict "config" $own.config "secrets" $own.secrets) -}}
{{- range $layer := $layers -}}
{{- range $section := $sections -}}
{{- $prefix := printf "RENDERCAST_%s__" (upper $section) -}}
{{- include "rendercast.settings" (dict "into" $into "prefix" $prefix "values" (dig $section dict ($layer.config | default dict) | default dict)) -}}
{{- include "rendercast.secretSettings" (dict "into" $into "prefix" $prefix "values" (dig $section dict ($layer.secrets | default dict) | default dict)) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "rendercast.env" -}}
{{- $into := dict -}}
{{- include "rendercast.environment" (merge (dict "into" $into) .) -}}
{{- $own := index .root.Values .facts.values -}}
{{- range $name, $value := $into }}
{{- if and (kindIs "map" $value) $.root.Values.secretsAsFiles }}
- name: {{ $name }}_FILE
  value: /etc/rendercast/secrets/{{ $name }}
{{- continue }}
{{- end }}
- name: {{ $name }}
{{- if kindIs "map" $value }}
  valueFrom:
    secretKeyRef:
      name: {{ $value.name }}
      key: {{ $value.key }}
{{- else }}
  value: {{ $value | quote }}
{{- end }}
{{- end }}
{{- if .monitored }}
- name: RENDERCAST_MONITORING__HOST
  value: {{ .root.Values.pods.listen | default "0.0.0.0" | quote }}
- name: RENDERCAST_MONITORING__PORT
  value: "9464"
{{- end }}
{{- if eq .component "gateway" }}
- name: RENDERCAST_GATEWAY__HOST
  value: {{ .root.Values.pods.listen | default "0.0.0.0" | quote }}
- name: RENDERCAST_GATEWAY__PORT
  value: "8080"
{{- end }}
{{- if eq .component "processor" }}
- name: RENDERCAST_PROCESSOR__DATA_DIRECTORY
  value: /var/lib/rendercast/processor
{{- if .root.Values.processor.staticMembership }}
- name: RENDERCAST_PROCESSOR__INSTANCE_ID
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
{{- end }}
{{- end }}
{{- with $own.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The secrets of a process as sources of a projected volume. */}}
{{- define "rendercast.secretFiles" -}}
{{- $into := dict -}}
{{- include "rendercast.environment" (merge (dict "into" $into) .) -}}
{{- range $name, $value := $into }}
{{- if kindIs "map" $value }}
- secret:
    name: {{ $value.name }}
    items: [{key: {{ $value.key | quote }}, path: {{ $name }}}]
{{- end }}
{{- end }}
{{- end -}}

{{/* Files of each section: one projected volume at /etc/rendercast/<section>. */}}
{{- define "rendercast.files" -}}
{{- $own := index .root.Values .facts.values -}}
{{- $user := include "rendercast.kafkaUser" . | fromYaml -}}
{{- $found := dict -}}
{{- range $section := .facts.sections -}}
{{- $files := concat
  (eq $section "kafka" | ternary ($user.files | default list) list)
  (dig $section list ($.root.Values.files | default dict) | default list) -}}
{{- range $.facts.borrows -}}
{{- if eq .section $section -}}
{{- $files = concat $files (dig $section list ((index $.root.Values .from).files | default dict) | default list) -}}
{{- end -}}
{{- end -}}
{{- $files = concat $files (dig $section list ($own.files | default dict) | default list) -}}
{{- if $files -}}{{- $_ := set $found $section (uniq $files) -}}{{- end -}}
{{- end -}}
{{- toYaml $found -}}
{{- end -}}
