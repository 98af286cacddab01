/**
 * The files of deploy/kubernetes/vllm: against Kubernetes' schemas, against a gate node's settings,
 * and against each other, because a name that is written in two files goes wrong in silence.
 */
import path from 'node:path';
import { expect, test } from 'vitest';
import { readEnginesFile, remoteEngines } from '../remote/engines-file.ts';
import { readConfig } from './config.ts';
import { DRAW_SECRET, receiptKeys, SECRET } from './testing/backend-client.ts';
import { type Container, DEPLOY, documents, refuseUnknown, validate, workload } from './testing/manifests.ts';

const HERE = 'kubernetes/vllm';
const ENGINES = path.join(DEPLOY, HERE, 'engines.json');

type Kustomization = {
  resources: string[];
  patches: { path: string }[];
  configMapGenerator: { name: string; files: string[] }[];
  images: { name: string }[];
};
// The cast: kustomize reads these fields, and a missing one fails the tests.
const [kustomization] = documents(`${HERE}/kustomization.yaml`) as unknown as [Kustomization];

type Engine = {
  name: string;
  replicaCount: number;
  enableLoRA: boolean;
  vllmConfig: { enablePrefixCaching: boolean; maxModelLen: number; maxLoras: number; extraArgs: string[] };
};
type Values = {
  servingEngineSpec: {
    labels: Record<string, string>;
    containerPort: number;
    servicePort: number;
    vllmApiKey: { secretName: string; secretKey: string };
    modelSpec: Engine[];
  };
};
// The cast: the chart's schema was checked by hand, and a missing field fails the tests.
const [{ servingEngineSpec: engines }] = documents(`${HERE}/engines-values.yaml`) as unknown as [Values];

type Policy = {
  metadata: { name: string };
  spec: {
    podSelector: { matchLabels: Record<string, string> };
    ingress: { from: { podSelector?: { matchLabels: Record<string, string> } }[]; ports: { port: number }[] }[];
    egress?: { to: { podSelector?: { matchLabels: Record<string, string> } }[]; ports: { port: number }[] }[];
  };
};
// The cast: the schemas check the file, and the tests read these fields.
const policies = documents(`${HERE}/network-policy.yaml`) as unknown as Policy[];

const gateNode = workload(`${HERE}/gate-node.yaml`);
const backend = workload('kubernetes/backend.yaml');
const job = workload(`${HERE}/check-engines.yaml`);
const container = (of: typeof job): Container => of.spec.template.spec.containers[0];

test.each(['network-policy.yaml', 'check-engines.yaml'])('%s is what Kubernetes takes', (file) => {
  expect(kustomization.resources).toContain(file);
  for (const document of documents(`${HERE}/${file}`)) validate(document);
});

test('the patch is for the backends of the folder above, and so are the images', () => {
  expect(kustomization.resources).toContain('..');
  expect(kustomization.patches).toEqual([{ path: 'gate-node.yaml' }]);
  for (const patch of documents(`${HERE}/gate-node.yaml`)) refuseUnknown(patch);
  expect(gateNode.metadata).toEqual({ name: backend.metadata.name });
  // The cast: kustomize reads these fields, and a missing one fails the test.
  const [base] = documents('kubernetes/kustomization.yaml') as unknown as [{ images: { newName: string }[] }];
  const renamed = base.images.map(({ newName }) => newName);
  expect(kustomization.images.map(({ name }) => name)).toEqual(renamed);
  expect(renamed).toContain(container(job).image);
});

test('a gate node has settings that a backend takes, and every secret that they name', async () => {
  const byName = new Map([...container(backend).env, ...container(gateNode).env].map((one) => [one.name, one]));
  const { receiptPrivateJwk } = await receiptKeys();
  const secrets: Record<string, string> = {
    'directive-secret': SECRET,
    'draw-secret': DRAW_SECRET,
    'receipt-private-jwk': JSON.stringify(receiptPrivateJwk),
    'old-directive-secrets': '[]',
    'old-draw-secrets': '[]',
    'api-key': 'key',
  };
  const env = Object.fromEntries(
    [...byName.values()].map(({ name, value, valueFrom }) => {
      const key = valueFrom?.secretKeyRef?.key;
      return [name, value ?? (key === undefined ? 'pod-1' : secrets[key])];
    }),
  );
  const config = readConfig(env);
  // With more, an answer would begin that its engines refuse to end.
  for (const { vllmConfig } of engines.modelSpec) expect(config.context).toBe(vllmConfig.maxModelLen);
  const [generated] = kustomization.configMapGenerator;
  expect(generated!.files.map((file) => path.join('/etc/plimsoll', file))).toEqual([config.engines]);
  for (const of of [gateNode, job]) {
    expect(of.spec.template.spec.volumes).toEqual([{ name: 'engines', configMap: { name: generated!.name } }]);
    expect(container(of).volumeMounts).toEqual([{ name: 'engines', mountPath: '/etc/plimsoll', readOnly: true }]);
  }
  expect(container(job).command).toEqual([
    ...['node', 'cli/plimsoll.mjs', 'model', 'check', config.bundle, '--engines', config.engines],
  ]);
  // Both have the key that the engines' file names, out of the secret that the engines get.
  const { secretName, secretKey } = engines.vllmApiKey;
  const file = await readEnginesFile(ENGINES);
  for (const of of [gateNode, job]) {
    const key = container(of).env.find(({ name }) => name === file.safety.api_key_env);
    expect(key?.valueFrom?.secretKeyRef).toEqual({ name: secretName, key: secretKey });
  }
  expect(() => remoteEngines(file, { topK: 20, vocabSize: 1000, env })).not.toThrow();
});

test('the engines’ file names the services and adapters that the chart’s values make', async () => {
  const file = await readEnginesFile(ENGINES);
  // helm install engines ...: the chart calls a service RELEASE-NAME-engine-service.
  const urls = engines.modelSpec.map(({ name }) => `http://engines-${name}-engine-service`);
  expect(engines.servicePort).toBe(80);
  const adapters = { safety: file.safety.model, helpfulness: file.helpfulness.model };
  for (const { urls: named } of [file.safety, file.helpfulness]) expect(named).toEqual(urls);
  for (const { replicaCount, enableLoRA, vllmConfig } of engines.modelSpec) {
    // Two replicas behind one URL would share out what begins alike.
    expect({ replicaCount, enableLoRA }).toEqual({ replicaCount: 1, enableLoRA: true });
    expect(vllmConfig.enablePrefixCaching).toBe(true);
    expect(vllmConfig.maxLoras).toBeGreaterThanOrEqual(new Set(Object.values(adapters)).size);
    const modules = vllmConfig.extraArgs.slice(vllmConfig.extraArgs.indexOf('--lora-modules') + 1);
    expect(modules.map((one) => one.split('=')[0])).toEqual(Object.values(adapters));
    expect(vllmConfig.extraArgs).toContain('--max-logprobs=20');
  }
});

test('only gate nodes and the check reach the engines, and gate nodes reach their port', () => {
  const [toEngines, ofGateNodes] = policies as [Policy, Policy];
  expect(toEngines.spec.podSelector.matchLabels).toEqual(engines.labels);
  expect(toEngines.spec.ingress).toHaveLength(1);
  const [{ from, ports }] = toEngines.spec.ingress as [Policy['spec']['ingress'][number]];
  expect(ports.map(({ port }) => port)).toEqual([engines.containerPort]);
  const allowed = from.map(({ podSelector }) => podSelector?.matchLabels);
  expect(allowed).toEqual([backend.spec.template.metadata.labels, job.spec.template.metadata.labels]);

  expect(ofGateNodes.spec.podSelector.matchLabels).toEqual(backend.spec.template.metadata.labels);
  const listens = container(backend).ports.map(({ containerPort }) => containerPort);
  expect(ofGateNodes.spec.ingress.flatMap(({ ports: own }) => own.map(({ port }) => port))).toEqual(listens);
  const toPods = ofGateNodes.spec.egress!.filter(({ to }) => to.some(({ podSelector }) => podSelector !== undefined));
  expect(toPods).toMatchObject([
    { to: [{ podSelector: { matchLabels: engines.labels } }], ports: [{ port: engines.containerPort }] },
  ]);
});
