/** `plimsoll policy replay`: where a stored answer could have gone another way. */
import { readFile } from 'node:fs/promises';
import { Command } from 'commander';
import { whyNot } from '../options/why-not.ts';
import { type EdgeFlags, edgeOf, goodAnswer, onEdge, tenantAt, tenantOf, versionOf } from './running-edge.ts';

type Flags = EdgeFlags & { request: string; answer: string; json: boolean };

export const replay = () =>
  onEdge(new Command('replay'), { scope: 'admin' })
    .description('say at which token of a stored answer another version could first have made a difference')
    .argument('<version>', 'a version, the file it was pushed from, or active')
    .requiredOption('--request <file>', 'the JSON of the request, as it was sent')
    .requiredOption('--answer <file>', 'the JSON of its answer, asked for with "plimsoll": {"trace": "tokens"}')
    .option('--json', 'print all of it as JSON', false)
    .addHelpText(
      'after',
      `
It compares what tokens are drawn from. A trace does not hold whole distributions, so it may not tell: then the first
token that could differ and the first that surely does are two.`,
    )
    .action(async (given: string, { request, answer, json, ...flags }: Flags) => {
      const { version, file } = given === 'active' ? { version: null, file: undefined } : await versionOf(given);
      const id = tenantOf(flags, file);
      const edge = edgeOf(flags);
      const body = { request: await read(request), answer: await read(answer) };
      const param = { id, version: version ?? (await tenantAt(id, edge)).policy_version };
      const found = await goodAnswer(
        await edge.admin.tenants[':id'].policies[':version'].replay.$post({ param, json: body }),
        edge,
      );
      if (json) {
        console.log(JSON.stringify(found, null, 2));
        return;
      }
      const { tokens, could, surely, unknown, redraws, notes } = found;
      const at = ({ token, why }: { token: number; why: string }) =>
        `${token === tokens ? `the end, after ${tokens} tokens` : `token ${token + 1} of ${tokens}`}: ${why}`;
      if (could === null) console.log(`no difference in ${tokens} tokens`);
      else if (unknown === null) console.log(`first difference at ${at(could)}`);
      else {
        console.log(`not known from ${at(unknown)}`);
        console.log(surely === null ? 'surely differs nowhere' : `surely differs at ${at(surely)}`);
      }
      if (redraws === true) {
        console.log('asked again under this version, the answer is another sample from its first token on');
      }
      if (redraws === null) console.log('asked again, it may be another sample: the receipt does not tell');
      for (const note of notes) console.log(`note: ${note}`);
    });

function read(file: string): Promise<string> {
  return readFile(file, 'utf8').catch((cause: unknown) => {
    throw new Error(`${file} cannot be read: ${whyNot(cause)}`, { cause });
  });
}
