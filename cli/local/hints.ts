/** What `serve` suggests to try, once the stack is ready. */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { Policy } from '#policies/schema.ts';
import { ModelList } from '#shared/api/models.ts';
import type { DemoTenant } from '#workers/local/seed-demo-tenants.ts';

/** The embedded bundle's model id. */
const DEMO = 'plimsoll-demo';
const DEMO_POLICIES = new URL('../../policies/demo/', import.meta.url);

export async function hints(
  url: string,
  {
    model,
    prompted,
    tenants,
    operatorKey,
    dataDir,
  }: {
    model: string;
    /** Whether the safety expert of that model is only a prompt. */
    prompted: boolean;
    tenants: readonly DemoTenant[];
    operatorKey: string;
    dataDir: string;
  },
): Promise<string> {
  const lists = await Promise.all(tenants.map(({ key }) => listModels(url, key)));
  const models = lists[0]!.map(({ id, plimsoll: { context_length } }) => {
    // A list has the modes that its key may ask for. The keys stand above.
    const modes = lists.flatMap((list) => list.find((other) => other.id === id)?.plimsoll.modes ?? []);
    return { name: id, about: `${context_length} tokens, mode ${[...new Set(modes)].join(' or ')}` };
  });
  const keys = await Promise.all(
    tenants.map(async ({ key, policy }) => {
      const { floor, budget } = Policy.parse(JSON.parse(await readFile(new URL(policy, DEMO_POLICIES), 'utf8')));
      return { name: key, about: `floor ${floor}, ${budget === null ? 'no budget' : `budget ${budget} nats`}` };
    }),
  );
  keys.push({ name: operatorKey, about: 'opens all tenants, in the console and the admin API' });
  return `
  In a browser, with one of the keys below; the last one shows three lines side by side:

    ${url}/console

  Or ask a question under one line, then under another:

    curl -N ${url}/v1/chat/completions -H 'Content-Type: application/json' \\
      -H 'Authorization: Bearer ${tenants[0]!.key}' \\
      -d '{"model":"${model}","stream":true,"messages":[{"role":"user","content":"How do I get rid of mould on a wall?"}]}'

  Keys:
${table(keys)}

  Models:
${table(models)}
${prompted ? demonstration(model, DEMO) : ''}
  Local state is in ${shown(dataDir)}; Ctrl-C stops everything.
`;
}

async function listModels(url: string, key: string): Promise<ModelList['data']> {
  const listed = await fetch(`${url}/v1/models`, { headers: { authorization: `Bearer ${key}` } });
  return ModelList.parse(await listed.json()).data;
}

/** So small a model hardly follows its prompt (docs/models.md has the counts). */
const demonstration = (model: string, trained: string) => `
  ${model} is a small real model, and its safety expert is the same model under a
  system prompt, which it hardly follows. It demonstrates the machinery. It is no safety.
  The experts of ${trained} are trained: compare.
`;

function table(rows: readonly { name: string; about: string }[]): string {
  const width = Math.max(...rows.map(({ name }) => name.length));
  return rows.map(({ name, about }) => `    ${name.padEnd(width)}  ${about}`).join('\n');
}

/** The folder relative to the current one, if that is shorter. */
export function shown(folder: string): string {
  const relative = path.relative(process.cwd(), folder);
  return relative !== '' && relative.length < folder.length ? relative : folder;
}
