/**
 * Puts the demo tenants of policies/demo into a local edge, over the admin API like anyone else's.
 */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import * as z from 'zod';
import { Policy } from '#policies/schema.ts';
import { adminClient } from '../control/admin-client.ts';

const DEMO = new URL('../../policies/demo/', import.meta.url);

const DemoTenants = z.array(
  z.strictObject({ id: z.string(), name: z.string(), policy: z.string().endsWith('.json'), key: z.string() }),
);
export type DemoTenant = z.infer<typeof DemoTenants>[number];

export async function readDemoTenants(): Promise<DemoTenant[]> {
  return DemoTenants.parse(await readJson('tenants.json'));
}

/** Returns the tenants that are now in the store. Seeding again changes nothing. */
export async function seedDemoTenants(url: string, operatorKey: string): Promise<DemoTenant[]> {
  const tenants = await readDemoTenants();
  const admin = adminClient(url, operatorKey);
  for (const { id, name, policy, key } of tenants) {
    const keys = [{ id: 'demo', sha256: sha256(key) }];
    const answer = await admin.tenants[':id'].$put({
      param: { id },
      json: { name, policy: Policy.parse(await readJson(policy)), keys },
    });
    if (!answer.ok) throw new Error(`the demo tenant ${id} was not accepted: ${await answer.text()}`);
    await answer.body?.cancel();
  }
  return tenants;
}

export function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

async function readJson(name: string): Promise<unknown> {
  return JSON.parse(await readFile(new URL(name, DEMO), 'utf8'));
}
