/** The manifests of deploy/, read and checked against Kubernetes' own schemas. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { Deployment } from 'kubernetes-models/apps/v1/Deployment';
import { HorizontalPodAutoscaler } from 'kubernetes-models/autoscaling/v2/HorizontalPodAutoscaler';
import { Job } from 'kubernetes-models/batch/v1/Job';
import { NetworkPolicy } from 'kubernetes-models/networking.k8s.io/v1/NetworkPolicy';
import { PodDisruptionBudget } from 'kubernetes-models/policy/v1/PodDisruptionBudget';
import { Service } from 'kubernetes-models/v1/Service';
import { parseAllDocuments } from 'yaml';

export const DEPLOY = path.join(import.meta.dirname, '../../../deploy');
const MODELS = { Deployment, HorizontalPodAutoscaler, Job, NetworkPolicy, PodDisruptionBudget, Service };

/** The documents of a file in deploy/. Duplicate keys and the like are errors. */
export function documents(file: string): { kind: string }[] {
  const options = { strict: true, uniqueKeys: true, merge: true };
  return parseAllDocuments(readFileSync(path.join(DEPLOY, file), 'utf8'), options).map((document) => {
    if (document.errors.length > 0) throw document.errors[0]!;
    return document.toJS() as { kind: string };
  });
}

/** Throws what Kubernetes' schema of its kind says against a document. */
export function validate(document: { kind: string }): void {
  const Model = MODELS[document.kind as keyof typeof MODELS];
  if (Model === undefined) throw new Error(`there is no schema for ${document.kind}`);
  // The cast: the model checks what it is given.
  new Model(document as never).validate();
}

/** The part of a pod's template that we read. */
export type Container = {
  image: string;
  command?: string[];
  env: { name: string; value?: string; valueFrom?: { secretKeyRef?: { name: string; key: string } } }[];
  ports: { containerPort: number }[];
  lifecycle: { preStop: { exec: { command: [string, string] } } };
  volumeMounts: { name: string; mountPath: string }[];
};
type PodSpec = {
  containers: [Container];
  terminationGracePeriodSeconds: number;
  securityContext: { runAsUser: number };
  volumes: { name: string; configMap?: { name: string } }[];
};
/** What holds a pod's template: a Deployment or a Job. */
export type Workload = {
  metadata: { name: string };
  spec: { template: { metadata: { labels: Record<string, string> }; spec: PodSpec } };
};

/** The only document of a file, which is a Deployment or a Job, or a patch of one. */
export function workload(file: string): Workload {
  const [found] = documents(file);
  // The cast: the schemas have checked the file, and tests read these fields.
  return found as unknown as Workload;
}
