/** `plimsoll tenants`: all tenants of an edge at once, as a backup or as code. */
import { createReadStream, createWriteStream } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { Command } from 'commander';
import * as z from 'zod';
import { putTenants, readTenantFolder } from '#workers/local/put-tenants.ts';

type Options = { url: string };

export function tenantsCommand(): Command {
  const tenants = new Command('tenants').description('back up, restore and put all tenants of an edge').addHelpText(
    'after',
    `
The operator's key comes from the environment: PLIMSOLL_OPERATOR_KEY.`,
  );
  const command = (name: string, description: string) =>
    tenants
      .command(name)
      .description(description)
      .option('--url <url>', 'where the edge listens', 'http://127.0.0.1:8787');
  command('export', 'write all plans and tenants to a file, with the digests of their keys')
    .argument('<file>', 'JSON Lines')
    .action(exportTenants);
  command('import', 'restore what an export holds; doing it again changes nothing')
    .argument('<file>', 'what `tenants export` has written')
    .action(importTenants);
  command('put', 'put the tenants and plans of a folder; doing it again changes nothing')
    .argument('<folder>', 'ID.json for each tenant, plans/ID.json for each plan')
    .action(async (folder: string, { url }: Options) => {
      const found = await readTenantFolder(folder);
      const { changed } = await putTenants(found, { url, operatorKey: operatorKey() });
      console.log(`${found.tenants.length} tenants are in the edge, ${changed.length} of them changed`);
    });
  return tenants;
}

/** The file is there only once it is whole. */
async function exportTenants(file: string, { url }: Options): Promise<void> {
  const answer = await ask('export', { url });
  const unfinished = `${file}.unfinished`;
  try {
    // The cast: Node's own types and the ones of fetch differ in name only.
    const body = answer.body as Parameters<typeof Readable.fromWeb>[0];
    await pipeline(Readable.fromWeb(body), createWriteStream(unfinished, { mode: 0o600 }));
    await rename(unfinished, file);
  } finally {
    await rm(unfinished, { force: true });
  }
  console.log(`all tenants are in ${file}`);
}

const Counts = z.object({ restored: z.int(), unchanged: z.int() });
const Imported = z.object({ plans: Counts, tenants: Counts });

async function importTenants(file: string, { url }: Options): Promise<void> {
  // The cast: as above.
  const body = Readable.toWeb(createReadStream(file)) as ReadableStream<Uint8Array>;
  const answer = await ask('import', { url, body });
  const { plans, tenants } = Imported.parse(await answer.json());
  console.log(
    `${tenants.restored} tenants and ${plans.restored} plans were restored, ${tenants.unchanged + plans.unchanged} were as they are`,
  );
}

async function ask(
  route: 'export' | 'import',
  { url, body }: { url: string; body?: ReadableStream<Uint8Array> },
): Promise<Response> {
  const answer = await fetch(`${url}/admin/v1/${route}`, {
    headers: { authorization: `Bearer ${operatorKey()}` },
    ...(body !== undefined && { method: 'POST', body, duplex: 'half' as const }),
  });
  if (!answer.ok) throw new Error(`${url} refuses: ${await answer.text()}`);
  return answer;
}

function operatorKey(): string {
  const key = process.env.PLIMSOLL_OPERATOR_KEY;
  if (key === undefined || key === '') {
    throw new Error(
      "PLIMSOLL_OPERATOR_KEY is not set; wanted the operator's key, which of npm start is pk-demo-operator",
    );
  }
  return key;
}
