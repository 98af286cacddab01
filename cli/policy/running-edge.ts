/**
 * What the commands of `plimsoll policy` share that talk to a running edge: where it is, the key
 * (from the environment, so that it stands in no list of processes and no shell's history), the
 * tenant, and refusals in words.
 */
import path from 'node:path';
import { Command } from 'commander';
import * as z from 'zod';
import { type AdminClient, adminClient } from '#workers/control/admin-client.ts';
import { parseTenantId } from '#workers/objects/tenant-record.ts';
import { whyNot } from '../options/why-not.ts';
import { readSoundPolicy, type SoundFile } from './policy-files.ts';

export type EdgeFlags = { url: string; tenant?: string };

/** The operator's key opens all tenants, so it is the second choice. */
const KEY_VARIABLES = ['PLIMSOLL_ADMIN_KEY', 'PLIMSOLL_OPERATOR_KEY'] as const;

/** What a tenant's own key needs for a command. `spend`: for answers, which cost tokens. */
const SCOPES = {
  read: 'the scope\nread',
  admin: 'the scope\nadmin',
  spend: 'the scopes\nadmin and inference',
} as const;

const TENANT_OR_FILE = "the tenant; left out, it is the file's name without .json";
export const TENANT_REQUIRED = 'the tenant (required)';

/** @param options.tenant what the help says of `--tenant` */
export function onEdge(
  command: Command,
  { scope, tenant = TENANT_OR_FILE }: { scope: keyof typeof SCOPES; tenant?: string },
): Command {
  return command
    .option('--url <url>', 'where the edge listens', 'http://127.0.0.1:8787')
    .option('--tenant <id>', tenant)
    .addHelpText(
      'after',
      `
The key comes from the environment, never from the command line: PLIMSOLL_ADMIN_KEY, a key of the tenant with ${SCOPES[scope]};
or PLIMSOLL_OPERATOR_KEY, which opens every tenant (of npm start it is pk-demo-operator).`,
    );
}

export type Edge = {
  admin: AdminClient;
  url: string;
  /** Posts JSON to a route below `/admin/v1`, for what the typed client does not know. */
  post: (route: string, body: object, signal: AbortSignal) => Promise<Response>;
};

/**
 * Throws if there is no key. Nothing is asked yet.
 *
 * @param options.asOperator only the operator's key will do
 */
export function edgeOf({ url }: EdgeFlags, { asOperator = false } = {}): Edge {
  const variables = asOperator ? KEY_VARIABLES.slice(-1) : KEY_VARIABLES;
  const key = variables.map((name) => process.env[name]).find((value) => value !== undefined && value !== '');
  if (key === undefined) {
    throw new Error(
      asOperator
        ? `${variables.join()} is not set; wanted the operator's key in it`
        : `${variables.join(' and ')}: neither is set; wanted a key of the tenant or the operator's in one of them`,
    );
  }
  const base = url.replace(/\/+$/, '');
  if (!URL.canParse(base)) throw new Error(`--url: found "${url}", wanted an address such as http://127.0.0.1:8787`);
  const fetch = reaching(base);
  return {
    admin: adminClient(base, key, { fetch }),
    url: base,
    post: (route, body, signal) =>
      fetch(`${base}/admin/v1/${route}`, {
        method: 'POST',
        headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
        body: JSON.stringify(body),
        signal,
      }),
  };
}

/** `fetch` whose failure says where it went and why it did not arrive. */
function reaching(url: string): typeof fetch {
  return (...args) =>
    fetch(...args).catch((thrown: unknown) => {
      const cause = thrown instanceof Error ? (thrown.cause ?? thrown) : thrown;
      const code = (cause as NodeJS.ErrnoException).code;
      throw new Error(
        `${url} cannot be reached: ${code === 'ECONNREFUSED' ? 'nothing listens there' : whyNot(cause)}`,
        {
          cause: thrown,
        },
      );
    });
}

/** The tenant that the command is about. */
export function tenantOf({ tenant }: EdgeFlags, file?: string): string {
  const id = tenant ?? (file === undefined ? undefined : path.basename(file, '.json'));
  if (id === undefined) throw new Error('--tenant is missing: which tenant?');
  try {
    return parseTenantId(id);
  } catch (cause) {
    const where = tenant === undefined ? `${file}: its name` : '--tenant';
    throw new Error(`${where}: found "${id}", wanted a tenant's id: up to 64 of a-z, 0-9, - and _`, { cause });
  }
}

const VERSION = /^[0-9a-f]{16,64}$/;

/** A version as it is, or the version that a file's policy has. */
export async function versionOf(given: string): Promise<{ version: string; file: string | undefined }> {
  if (VERSION.test(given)) return { version: given, file: undefined };
  return { version: (await readTenantPolicy(given)).version, file: given };
}

/** Throws for a plan's, a key's or the operator's document: these are not a tenant's versions. */
export async function readTenantPolicy(file: string): Promise<SoundFile> {
  const read = await readSoundPolicy(file);
  if (read.level === 'tenant') return read;
  throw new Error(
    `${file}: found the ${read.level}'s policy (by its place), wanted a tenant's; docs/admin-api.md says how plans and keys get theirs`,
  );
}

const Refusal = z.object({
  error: z.object({ message: z.string(), code: z.string(), param: z.string().nullable() }),
  current: z.object({ revision: z.int(), policy_version: z.string(), updated_at: z.string() }).optional(),
});

/** What an answer of the typed client looks like to us. */
type Answer<Value> = { ok: boolean; status: number; json(): Promise<Value>; text(): Promise<string> };

/** The value of a good answer. Throws with the edge's own words otherwise. */
export async function goodAnswer<Value>(answer: Answer<Value>, edge: Pick<Edge, 'url'>): Promise<Value> {
  if (answer.ok) return answer.json();
  const text = await answer.text();
  const refusal = Refusal.safeParse(parsed(text));
  if (!refusal.success) throw new Error(`${edge.url} answered ${answer.status}: ${text.slice(0, 200)}`);
  const { error, current } = refusal.data;
  if (answer.status === 412 && current !== undefined) throw new Error(conflictOf(current));
  throw new Error(
    `${edge.url} refuses (${error.code}${error.param === null ? '' : `, ${error.param}`}): ${error.message}`,
  );
}

function conflictOf({ revision, policy_version, updated_at }: NonNullable<z.infer<typeof Refusal>['current']>): string {
  return [
    'somebody changed the tenant meanwhile, so nothing was done',
    `  it is at revision ${revision} since ${updated_at}, under ${policy_version}`,
    `  look at plimsoll policy log, then try again with --if-match ${revision}, or with --force to overwrite`,
  ].join('\n');
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** The flags of a command that changes a tenant as it is now. */
export type ChangeFlags = EdgeFlags & { ifMatch?: number; force: boolean };

/**
 * A command that changes which policy a tenant is under. All of them name the revision that they
 * change, so that none overwrites what somebody else has done meanwhile.
 */
export function changesTenant(name: string, options: { tenant?: string } = {}): Command {
  return onEdge(new Command(name), { scope: 'admin', ...options })
    .option(
      '--if-match <revision>',
      'do it only if the tenant is still at this revision, as push and log show it',
      Number,
    )
    .option('--force', 'do it whatever the tenant has become meanwhile', false);
}

/**
 * The header that keeps one change from overwriting another. Without flags it names the revision
 * that the tenant has now, so only a change at the very same moment is refused.
 */
export async function ifMatch(
  { ifMatch, force }: Pick<ChangeFlags, 'ifMatch' | 'force'>,
  { edge, id }: { edge: Edge; id: string },
): Promise<{ headers: { 'if-match': string } }> {
  if (force && ifMatch !== undefined) throw new Error('--if-match and --force: give one of the two');
  if (force) return { headers: { 'if-match': '*' } };
  if (ifMatch !== undefined && !(Number.isSafeInteger(ifMatch) && ifMatch >= 0)) {
    throw new Error('--if-match: wanted a revision, as in --if-match 7');
  }
  const revision = ifMatch ?? (await tenantAt(id, edge)).revision;
  return { headers: { 'if-match': `"${revision}"` } };
}

export async function tenantAt(id: string, edge: Edge) {
  return goodAnswer(await edge.admin.tenants[':id'].$get({ param: { id } }), edge);
}
