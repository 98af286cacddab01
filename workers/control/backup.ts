/**
 * Backup and restore of all tenants and plans. A tenant is one line, with the digests of its keys,
 * after the lines with its audit log and its activations. The deployment's own log stays where it
 * is: a chain has one place.
 */
import { isTextOf } from '#policies/version.ts';
import { PlimsollError } from '#shared/api/errors.ts';
import { parseRequest } from '#shared/api/invalid-request.ts';
import { type TenantBackup, tenantIndex, tenantObject } from '../objects/tenant-contracts.ts';
import { parseJson } from '../request/read-body.ts';
import { BackupLine, type ImportAnswer } from './backup-lines.ts';
import { jsonLines } from './json-lines.ts';
import { readLines } from './read-lines.ts';
import { type Admin, asking, changed, type OperatorContext } from './tenants.ts';

const PAGE = 50;

/**
 * A stream of lines, read from the objects as the client takes them. If it breaks, the line `end`
 * is missing.
 */
export function exportTenants(c: OperatorContext): Response {
  return jsonLines(backupLines(c), { event: 'export-broken', request: c.var.requestId });
}

async function* backupLines({ env }: OperatorContext): AsyncGenerator<BackupLine, void, void> {
  const index = tenantIndex(env);
  yield { type: 'plimsoll-backup', version: 1, at: new Date().toISOString() };
  const plans = await index.listPlans();
  for (const { id, name, policy_version, document } of plans) {
    if (document === null) throw new Error(`the policy of the plan '${id}' is lost`);
    yield { type: 'plan', id, name, policy_version, document };
  }
  let tenants = 0;
  for (let after = ''; ; ) {
    const rows = await index.listTenants({ after, limit: PAGE });
    for (const { id, state } of rows) {
      after = id;
      if (state === 'erased') {
        yield { type: 'erased', id };
        continue;
      }
      const backup = await tenantObject(env, id).backup(id);
      // One that is only just being made.
      if (backup === null) continue;
      tenants += 1;
      yield* historyLines(id, backup, env);
      yield { type: 'tenant', id, ...backup };
    }
    if (rows.length < PAGE) break;
  }
  yield { type: 'end', plans: plans.length, tenants };
}

/** All up to what the tenant's line names. What has come since then is not in the backup. */
async function* historyLines(
  tenant: string,
  { audit, activations }: TenantBackup,
  env: OperatorContext['env'],
): AsyncGenerator<BackupLine, void, void> {
  const object = tenantObject(env, tenant);
  const after = { audit: 0, activations: 0 };
  let left = activations;
  while (after.audit < audit.seq || left > 0) {
    const part = await object.historyPart(tenant, after);
    const entries = part.audit.filter(({ seq }) => seq <= audit.seq);
    const records = part.activations.slice(0, left);
    if (entries.length === 0 && records.length === 0) throw new Error(`the history of '${tenant}' has a gap`);
    yield { type: 'history', tenant, audit: entries, activations: records };
    after.audit = entries.at(-1)?.seq ?? after.audit;
    after.activations = records.at(-1)?.seq ?? after.activations;
    left -= records.length;
  }
}

/**
 * Restores each tenant as its line arrives. Doing it again changes nothing. If it stops in the
 * middle, what was restored stays, and the whole can be sent again.
 */
export async function importTenants(
  body: ReadableStream<Uint8Array> | null,
  { c, admin, silenceMs }: { c: OperatorContext; admin: Admin; silenceMs: number },
): Promise<ImportAnswer> {
  const done: ImportAnswer = { plans: { restored: 0, unchanged: 0 }, tenants: { restored: 0, unchanged: 0 } };
  const count = (counts: { restored: number; unchanged: number }, isChanged: boolean) => {
    if (isChanged) counts.restored += 1;
    else counts.unchanged += 1;
  };
  const seen = { plans: 0, tenants: 0 };
  let last: BackupLine['type'] | null = null;
  for await (const { line, number } of readLines(body, { silenceMs })) {
    const parsed = await atLine(number, async () => parseRequest(BackupLine, parseJson(line)));
    if ((last === null) !== (parsed.type === 'plimsoll-backup') || last === 'end') throw notABackup(number);
    last = parsed.type;
    switch (parsed.type) {
      case 'plimsoll-backup':
        break;
      case 'plan': {
        seen.plans += 1;
        const { id, name, policy_version: version, document } = parsed;
        await atLine(number, () => demandWholePlan(parsed));
        const plan = { id, name, policy: { version, document } };
        const result = await asking(() => tenantIndex(c.env).putPlan(plan, { actor: c.var.operator, ifMatch: 'any' }));
        if (result.refused === null) count(done.plans, result.changed);
        break;
      }
      case 'history': {
        const { tenant, audit, activations } = parsed;
        const refused = await asking(() => tenantObject(c.env, tenant).stage(tenant, { audit, activations }));
        if (refused === null) break;
        throw new PlimsollError(refused.code, `Line ${number}: ${refused.message}`, { param: refused.param });
      }
      case 'tenant': {
        seen.tenants += 1;
        const { type: _, id, ...backup } = parsed;
        const actor = c.var.operator;
        await atLine(number, () => demandWholePolicies(parsed));
        const result = await atLine(number, () =>
          changed(id, (object) => object.restore(id, backup, { actor }), { c, admin, actor }),
        );
        count(done.tenants, result.changed);
        break;
      }
      case 'erased': {
        await asking(() => tenantIndex(c.env).bury(parsed.id, { actor: c.var.operator }));
        break;
      }
      case 'end':
        if (parsed.plans !== seen.plans || parsed.tenants !== seen.tenants) {
          throw new PlimsollError(
            'invalid_value',
            `Lines are missing: there were ${seen.plans} plans and ${seen.tenants} tenants, and the end says ${parsed.plans} and ${parsed.tenants}.`,
          );
        }
        break;
      default:
        parsed satisfies never;
    }
  }
  if (last !== 'end') {
    const message = `The backup is cut off: it has no line of the type 'end'. ${seen.tenants} tenants were restored.`;
    throw new PlimsollError('invalid_value', message);
  }
  return done;
}

/**
 * A version stands for one text. Another text under it would take the place of the right one,
 * wherever that is stored already.
 */
async function demandWholePlan({ id, policy_version, document }: Line<'plan'>): Promise<void> {
  if (await isTextOf(document, policy_version)) return;
  throw new PlimsollError(
    'invalid_value',
    `The policy of the plan '${id}' is not the one that its version '${policy_version}' stands for.`,
    { param: 'document' },
  );
}

async function demandWholePolicies({ id, policies }: Line<'tenant'>): Promise<void> {
  for (const [index, { version, document }] of policies.entries()) {
    if (await isTextOf(document, version)) continue;
    const message = `The text of '${id}'s version '${version}' is not the one that it stands for.`;
    throw new PlimsollError('invalid_value', message, { param: `policies[${index}].document` });
  }
}

type Line<Type extends BackupLine['type']> = Extract<BackupLine, { type: Type }>;

/** An error about a line says which it is. */
async function atLine<T>(number: number, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof PlimsollError) || error.status >= 500) throw error;
    throw new PlimsollError(error.code, `Line ${number}: ${error.message}`, { param: error.param });
  }
}

function notABackup(line: number): PlimsollError {
  return new PlimsollError(
    'invalid_value',
    `Line ${line}: a backup begins with a line of the type 'plimsoll-backup' and ends with one of the type 'end'.`,
  );
}
