/**
 * Tenants as code: a folder with a JSON file for each tenant, named after its id, and a file for
 * each plan in `plans/`. Putting the same folder again changes nothing.
 */
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import * as z from 'zod';
import { adminClient } from '../control/admin-client.ts';
import { PlanDocument, parseTenantId, TenantDocument } from '../objects/tenant-record.ts';

type Loaded<Document> = { id: string; file: string; document: Document };
export type TenantFolder = {
  plans: Loaded<z.input<typeof PlanDocument>>[];
  tenants: Loaded<z.input<typeof TenantDocument>>[];
};

/** Reads and checks the whole folder. An error names the file and every fault in it. */
export async function readTenantFolder(folder: string): Promise<TenantFolder> {
  const files = await readdir(folder, { withFileTypes: true }).catch((cause: unknown) => {
    throw new Error(`${folder} cannot be read; wanted a folder with a JSON file for each tenant`, { cause });
  });
  const hasPlans = files.some((file) => file.isDirectory() && file.name === 'plans');
  const plans = hasPlans ? await readDocuments(path.join(folder, 'plans'), PlanDocument) : [];
  return { plans, tenants: await readDocuments(folder, TenantDocument) };
}

/** Puts what the folder holds into an edge. Tenants that it does not name stay as they are. */
export async function putTenants(
  { plans, tenants }: TenantFolder,
  { url, operatorKey }: { url: string; operatorKey: string },
): Promise<{ changed: string[] }> {
  const admin = adminClient(url, operatorKey);
  const changed: string[] = [];
  for (const { id, file, document } of plans) {
    const answer = await admin.plans[':id'].$put({ param: { id }, json: document }, { headers: { 'if-match': '*' } });
    if (!answer.ok) throw new Error(`${file} was not accepted: ${await answer.text()}`);
    await answer.body?.cancel();
  }
  for (const { id, file, document } of tenants) {
    const answer = await admin.tenants[':id'].$put({ param: { id }, json: document });
    if (!answer.ok) throw new Error(`${file} was not accepted: ${await answer.text()}`);
    if ((await answer.json()).changed) changed.push(id);
  }
  return { changed };
}

async function readDocuments<Schema extends z.ZodType>(
  folder: string,
  schema: Schema,
): Promise<Loaded<z.input<Schema>>[]> {
  const names = (await readdir(folder)).filter((name) => name.endsWith('.json')).sort();
  return Promise.all(names.map((name) => readDocument(path.join(folder, name), schema)));
}

async function readDocument<Schema extends z.ZodType>(file: string, schema: Schema): Promise<Loaded<z.input<Schema>>> {
  const id = path.basename(file, '.json');
  try {
    parseTenantId(id);
  } catch (cause) {
    throw new Error(`${file}: an id is up to 64 of a-z, 0-9, - and _, and the file is named after it`, { cause });
  }
  let document: unknown;
  try {
    document = JSON.parse(await readFile(file, 'utf8'));
  } catch (cause) {
    throw new Error(`${file} is not JSON: ${(cause as Error).message}`, { cause });
  }
  const parsed = schema.safeParse(document);
  if (!parsed.success) throw new Error(`${file} is not right\n${z.prettifyError(parsed.error)}`);
  // The cast: what was just parsed is what the schema takes. It is sent as it was written.
  return { id, file, document: document as z.input<Schema> };
}
