/** The manifests of deploy/, read and checked against Kubernetes' own schemas. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { validate as readDeployment } from 'kubernetes-models/_schemas/IoK8sApiAppsV1Deployment';
import { validate as readAutoscaler } from 'kubernetes-models/_schemas/IoK8sApiAutoscalingV2HorizontalPodAutoscaler';
import { validate as readJob } from 'kubernetes-models/_schemas/IoK8sApiBatchV1Job';
import { validate as readService } from 'kubernetes-models/_schemas/IoK8sApiCoreV1Service';
import { validate as readNetworkPolicy } from 'kubernetes-models/_schemas/IoK8sApiNetworkingV1NetworkPolicy';
import { validate as readDisruptionBudget } from 'kubernetes-models/_schemas/IoK8sApiPolicyV1PodDisruptionBudget';
import { Deployment } from 'kubernetes-models/apps/v1/Deployment';
import { HorizontalPodAutoscaler } from 'kubernetes-models/autoscaling/v2/HorizontalPodAutoscaler';
import { Job } from 'kubernetes-models/batch/v1/Job';
import { NetworkPolicy } from 'kubernetes-models/networking.k8s.io/v1/NetworkPolicy';
import { PodDisruptionBudget } from 'kubernetes-models/policy/v1/PodDisruptionBudget';
import { Service } from 'kubernetes-models/v1/Service';
import { parseAllDocuments } from 'yaml';

export const DEPLOY = path.join(import.meta.dirname, '../../../deploy');
/** Of each kind, the model that checks types, and the schema's code, which reads what it knows. */
const KINDS = {
  Deployment: [Deployment, readDeployment],
  HorizontalPodAutoscaler: [HorizontalPodAutoscaler, readAutoscaler],
  Job: [Job, readJob],
  NetworkPolicy: [NetworkPolicy, readNetworkPolicy],
  PodDisruptionBudget: [PodDisruptionBudget, readDisruptionBudget],
  Service: [Service, readService],
} as const;

/** The documents of a file in deploy/. Duplicate keys and the like are errors. */
export function documents(file: string): { kind: string }[] {
  const options = { strict: true, uniqueKeys: true, merge: true };
  return parseAllDocuments(readFileSync(path.join(DEPLOY, file), 'utf8'), options).map((document) => {
    if (document.errors.length > 0) throw document.errors[0]!;
    return document.toJS() as { kind: string };
  });
}

/**
 * Throws what Kubernetes' schema of its kind says against a document. A field that the schema does
 * not know is an error, too.
 */
export function validate(document: { kind: string }): void {
  const [Model] = kindOf(document);
  // The cast: the model checks what it is given.
  new Model(document as never).validate();
  refuseUnknown(document);
}

/** Throws if a document, or a patch of one, has a field that the schema does not know. */
export function refuseUnknown(document: { kind: string }): void {
  const [, readKnown] = kindOf(document);
  const unread = unreadFields(document, readKnown);
  if (unread.length > 0) throw new Error(`${document.kind} has fields that Kubernetes does not know: ${unread}`);
}

function kindOf({ kind }: { kind: string }) {
  const known = KINDS[kind as keyof typeof KINDS];
  if (known === undefined) throw new Error(`there is no schema for ${kind}`);
  return known;
}

/**
 * The fields that `read` does not look at. The schemas let further fields pass, as Kubernetes does
 * where it is not strict, but their code reads each field that it knows, and each entry of a map.
 */
function unreadFields(document: object, read: (data: unknown) => unknown): string[] {
  const paths = new Map<string, boolean>();
  const watch = <T extends object>(value: T, at: string): T => {
    for (const key of Object.keys(value)) paths.set(`${at}.${key}`, false);
    const watched = new Map<PropertyKey, unknown>();
    return new Proxy(value, {
      get(target, key, receiver) {
        const found: unknown = Reflect.get(target, key, receiver);
        if (typeof key === 'symbol' || !Object.hasOwn(target, key)) return found;
        const path = `${at}.${key}`;
        paths.set(path, true);
        if (typeof found !== 'object' || found === null) return found;
        if (!watched.has(key)) watched.set(key, watch(found, path));
        return watched.get(key);
      },
    });
  };
  read(watch(document, ''));
  return [...paths].flatMap(([path, isRead]) => (isRead ? [] : [path.slice(1)]));
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
