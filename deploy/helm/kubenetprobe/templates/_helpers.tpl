{{/* Names. The release's name alone if it says what it is. */}}
{{- define "kubenetprobe.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "kubenetprobe.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "kubenetprobe.name" . -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "kubenetprobe.agent.name" -}}
{{- printf "%s-agent" (include "kubenetprobe.fullname" .) -}}
{{- end -}}

{{- define "kubenetprobe.agent.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "kubenetprobe.agent.name" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* Labels. The selector's must never change: a DaemonSet's selector cannot. */}}
{{- define "kubenetprobe.agent.selectorLabels" -}}
app.kubernetes.io/name: {{ include "kubenetprobe.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: agent
{{- end -}}

{{- define "kubenetprobe.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: kubenetprobe
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "kubenetprobe.agent.labels" -}}
{{ include "kubenetprobe.agent.selectorLabels" . }}
{{ include "kubenetprobe.labels" . }}
{{- end -}}

{{- define "kubenetprobe.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{/* What the agent's configuration decides for others: the port, and the address for the kubelet's probes. */}}
{{- define "kubenetprobe.agent.metricsPort" -}}
{{- required "agent.config.metrics.listen must be ADDRESS:PORT" (regexFind "[0-9]+$" .Values.agent.config.metrics.listen) -}}
{{- end -}}

{{- define "kubenetprobe.agent.probeHost" -}}
{{- $host := regexReplaceAll ":[0-9]+$" .Values.agent.config.metrics.listen "" | trimPrefix "[" | trimSuffix "]" -}}
{{- if not (has $host (list "" "0.0.0.0" "::" "*")) -}}{{ $host }}{{- end -}}
{{- end -}}

{{- define "kubenetprobe.agent.hubblePort" -}}
{{- $hubble := default dict .Values.agent.config.hubble -}}
{{- regexFind "[0-9]+$" (toString (default "" (get $hubble "listen"))) -}}
{{- end -}}

{{/* The capabilities that the nodes' kernels and the chosen rights take, each once, in alphabetical order. */}}
{{- define "kubenetprobe.agent.capabilities" -}}
{{- $a := .Values.agent -}}
{{- $add := list "NET_ADMIN" -}}
{{- if eq $a.oldestKernel "4.18" -}}
{{- $add = concat $add (list "SYS_ADMIN" "SYS_RESOURCE") -}}
{{- else -}}
{{- $add = concat $add (list "BPF" "PERFMON") -}}
{{- if eq $a.oldestKernel "5.8" -}}{{- $add = append $add "SYS_RESOURCE" -}}{{- end -}}
{{- end -}}
{{- if $a.rights.processes -}}{{- $add = append $add "SYS_PTRACE" -}}{{- end -}}
{{- if $a.rights.podNamespaces -}}{{- $add = concat $add (list "SYS_ADMIN" "SYS_PTRACE") -}}{{- end -}}
{{- if $a.rights.programNames -}}{{- $add = append $add "SYS_ADMIN" -}}{{- end -}}
{{- if $a.rights.dropPlaces -}}{{- $add = append $add "SYSLOG" -}}{{- end -}}
{{- if $a.rights.cgroupHandles -}}{{- $add = append $add "DAC_READ_SEARCH" -}}{{- end -}}
{{- toYaml (concat $add $a.extraCapabilities | uniq | sortAlpha) -}}
{{- end -}}

{{/* AppArmor is a field since Kubernetes 1.30; before, an annotation of the pod, one a container. */}}
{{- define "kubenetprobe.agent.appArmorIsField" -}}
{{- if and .Values.agent.appArmorProfile (semverCompare ">=1.30.0-0" .Capabilities.KubeVersion.Version) -}}true{{- end -}}
{{- end -}}

{{- define "kubenetprobe.agent.appArmorAnnotation" -}}
{{- $profile := .Values.agent.appArmorProfile -}}
{{- if eq $profile "Unconfined" -}}unconfined
{{- else if eq $profile "RuntimeDefault" -}}runtime/default
{{- else -}}{{ printf "localhost/%s" (trimPrefix "Localhost/" $profile) }}
{{- end -}}
{{- end -}}

{{- define "kubenetprobe.agent.securityContext" -}}
runAsUser: 0
runAsGroup: 0
privileged: false
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
  add:
    {{- include "kubenetprobe.agent.capabilities" . | nindent 4 }}
{{- with .Values.agent.seccompProfile }}
seccompProfile:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- if include "kubenetprobe.agent.appArmorIsField" . }}
appArmorProfile:
  {{- if hasPrefix "Localhost/" .Values.agent.appArmorProfile }}
  type: Localhost
  localhostProfile: {{ trimPrefix "Localhost/" .Values.agent.appArmorProfile }}
  {{- else }}
  type: {{ .Values.agent.appArmorProfile }}
  {{- end }}
{{- end }}
{{- with .Values.agent.seLinuxOptions }}
seLinuxOptions:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
