/** `plimsoll policy`: checks and hashes policy files. */
import { readFile } from 'node:fs/promises';
import { Command } from 'commander';
import * as z from 'zod';
import { Policy } from '#policies/schema.ts';
import { canonicalPolicy, policyVersion } from '#policies/version.ts';
import { whyNot } from './options/why-not.ts';

export function policyCommand(): Command {
  const policy = new Command('policy').description("work with policy documents, which set a tenant's line");
  policy
    .command('check')
    .description('say whether a policy is valid, and list every fault if it is not')
    .argument('<file>', 'the policy, as JSON')
    .action(async (file: string) => {
      console.log(`${file} is a valid policy, version ${await versionOf(await readPolicy(file))}`);
    });
  policy
    .command('hash')
    .description('print the version that this policy would get: a digest of its content')
    .argument('<file>', 'the policy, as JSON')
    .action(async (file: string) => console.log(await versionOf(await readPolicy(file))));
  return policy;
}

const versionOf = (policy: Policy) => policyVersion(canonicalPolicy(policy));

async function readPolicy(file: string): Promise<Policy> {
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw new Error(
      `${file} cannot be read: ${whyNot(cause)}; a policy is a JSON file, such as those in policies/presets`,
      { cause },
    );
  });
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch (cause) {
    throw new Error(`${file} is not JSON: ${(cause as SyntaxError).message}`, { cause });
  }
  const parsed = Policy.safeParse(document);
  if (!parsed.success) throw new Error(`${file} is not a valid policy\n${z.prettifyError(parsed.error)}`);
  return parsed.data;
}
