/** `plimsoll policy`: policies as files, and the life of a policy at a running edge. */
import { Command } from 'commander';
import { activate } from './policy/activate.ts';
import { diff } from './policy/diff.ts';
import { explainCommand } from './policy/explain.ts';
import { hash } from './policy/hash.ts';
import { init } from './policy/init.ts';
import { log } from './policy/log.ts';
import { push } from './policy/push.ts';
import { replay } from './policy/replay.ts';
import { rollback } from './policy/rollback.ts';
import { schema } from './policy/schema.ts';
import { simulate } from './policy/simulate.ts';
import { test } from './policy/test.ts';
import { validate } from './policy/validate.ts';
import { verify } from './policy/verify.ts';

/** In the order of a policy's life: first those on files, then those on a running edge. */
const COMMANDS = [
  ...[init, validate, test, explainCommand, diff, schema, hash],
  ...[push, simulate, replay, activate, rollback, log, verify],
];

export function policyCommand(): Command {
  const policy = new Command('policy')
    .description("work with policy documents, which set a tenant's line")
    .addHelpText('after', '\ndocs/policies.md describes the language, the presets and how to keep policies as code.');
  for (const make of COMMANDS) policy.addCommand(make());
  return policy;
}
