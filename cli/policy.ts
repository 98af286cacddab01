/** `plimsoll policy`: policies as files. */
import { Command } from 'commander';
import { diff } from './policy/diff.ts';
import { explainCommand } from './policy/explain.ts';
import { hash } from './policy/hash.ts';
import { init } from './policy/init.ts';
import { schema } from './policy/schema.ts';
import { test } from './policy/test.ts';
import { validate } from './policy/validate.ts';

/** In the order of a policy's life. */
const COMMANDS = [init, validate, test, explainCommand, diff, schema, hash];

export function policyCommand(): Command {
  const policy = new Command('policy')
    .description("work with policy documents, which set a tenant's line")
    .addHelpText('after', '\ndocs/policies.md describes the language, the presets and how to keep policies as code.');
  for (const make of COMMANDS) policy.addCommand(make());
  return policy;
}
