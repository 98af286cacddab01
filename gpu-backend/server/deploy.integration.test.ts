/**
 * The files of deploy/, as far as they can be checked without a cluster and without Docker: against
 * Kubernetes' own schemas, and against the backend's settings.
 */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { readConfig } from './config.ts';
import { DRAW_SECRET, receiptKeys, SECRET } from './testing/backend-client.ts';
import { DEPLOY, documents, refuseUnknown, validate, workload } from './testing/manifests.ts';

const MANIFESTS = readdirSync(path.join(DEPLOY, 'kubernetes')).filter(
  (file) => file.endsWith('.yaml') && file !== 'kustomization.yaml',
);

test('the schemas refuse another type, a missing field and an unknown one, at any depth', () => {
  // The cast: the schemas have checked the file, and the test reads these fields.
  const [good] = documents('kubernetes/service.yaml') as unknown as [{ kind: string; metadata: object }];
  const takes = (spec: object, more: object = {}) => validate({ ...good, spec, ...more } as typeof good);
  expect(() => takes({ ports: [{ port: 80 }] })).not.toThrow();
  expect(() => takes({ ports: 'http' })).toThrow();
  expect(() => takes({ ports: [{ name: 'http' }] })).toThrow();
  expect(() => takes({ prots: [{ port: 80 }] })).toThrow(/does not know: spec\.prots$/);
  expect(() => takes({ ports: [{ port: 80, nmae: 'http' }] })).toThrow(/does not know: spec\.ports\.0\.nmae$/);
  expect(() => takes({ ports: [{ port: 80 }] }, { specs: {} })).toThrow(/does not know: specs$/);
  expect(() => takes({ ports: [{ port: 80 }], selector: { any: 'label' } })).not.toThrow();
});

test.each(MANIFESTS)('%s is what Kubernetes takes', (file) => {
  const found = documents(`kubernetes/${file}`);
  expect(found.length).toBeGreaterThan(0);
  for (const document of found) validate(document);
});

test('kustomize finds every file, and no file is left out', () => {
  // The cast: the schemas have checked the file, and the test reads these fields.
  const [base] = documents('kubernetes/kustomization.yaml') as unknown as [{ resources: string[] }];
  expect(base.resources.toSorted()).toEqual(MANIFESTS.toSorted());
  // The cast: the schemas have checked the file, and the test reads these fields.
  const [gpu] = documents('kubernetes/gpu/kustomization.yaml') as unknown as [{ patches: { path: string }[] }];
  const patched = gpu.patches.flatMap(({ path: file }) => documents(`kubernetes/gpu/${file}`));
  expect(patched.map(({ kind }) => kind)).toEqual(['Deployment']);
  for (const patch of patched) refuseUnknown(patch);
});

test('a pod has settings that a backend takes, and time enough to finish its answers', async () => {
  const deployment = workload('kubernetes/backend.yaml');
  const { containers, terminationGracePeriodSeconds } = deployment.spec.template.spec;
  const [container] = containers;
  const { receiptPrivateJwk } = await receiptKeys();
  const secrets: Record<string, string> = {
    'directive-secret': SECRET,
    'draw-secret': DRAW_SECRET,
    'receipt-private-jwk': JSON.stringify(receiptPrivateJwk),
    'old-directive-secrets': JSON.stringify([SECRET]),
    'old-draw-secrets': JSON.stringify([DRAW_SECRET]),
  };
  const env = Object.fromEntries(
    container.env.map(({ name, value, valueFrom }) => {
      const key = valueFrom?.secretKeyRef?.key;
      return [name, value ?? (key === undefined ? 'pod-1' : secrets[key])];
    }),
  );
  const config = readConfig(env);
  expect(config).toMatchObject({ host: '0.0.0.0', backendId: 'pod-1', log: 'json' });
  expect(container.ports.map(({ containerPort }) => containerPort)).toEqual([config.port]);
  // A name that is not a setting would be ignored in silence.
  for (const { name } of container.env) {
    const broken = { ...env, [name]: 'x' };
    const without = (() => {
      try {
        return readConfig(broken);
      } catch {
        return null;
      }
    })();
    expect(without, `${name} is no setting`).not.toEqual(config);
  }
  const sleep = Number(container.lifecycle.preStop.exec.command[1]);
  expect(terminationGracePeriodSeconds).toBeGreaterThanOrEqual(sleep + config.graceMs / 1000 + 5);
});

test('the image has the files that it copies, and listens where its pods are asked', () => {
  const dockerfile = readFileSync(path.join(DEPLOY, 'Dockerfile'), 'utf8');
  const [, user] = /^USER (\d+):\d+$/m.exec(dockerfile)!;
  const deployment = workload('kubernetes/backend.yaml');
  expect(deployment.spec.template.spec.securityContext.runAsUser).toBe(Number(user));
  expect(dockerfile).toMatch(/^EXPOSE 8788$/m);
  const root = readdirSync(path.join(DEPLOY, '..'));
  const kept = readFileSync(path.join(DEPLOY, 'Dockerfile.dockerignore'), 'utf8').match(/^!.*$/gm)!;
  for (const name of kept) expect(root).toContain(name.slice(1).split('/')[0]);
});
