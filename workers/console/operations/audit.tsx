/** Who changed what, and whether the log is whole: every hash is computed in this page too. */
import { useState } from 'preact/hooks';
import type * as z from 'zod';
import type { AuditAnswer } from '../../control/admin-answers.ts';
import { type AuditEntry, type AuditVerdict, verifyChain, type WitnessedVerdict } from '../../objects/audit-chain.ts';
import { callJson } from '../net/api.ts';
import { useAnswer } from '../net/use-answer.ts';
import { inTime, inWhole } from '../net/words.ts';
import { useAct } from '../parts/act.ts';
import { CopyButton } from '../parts/copy-button.tsx';
import { Empty, ErrorNotice, Waiting } from '../parts/notice.tsx';
import { useTenant } from '../parts/tenant-choice.tsx';

type Entry = z.infer<typeof AuditAnswer>;
/** What the edge says, and what this page finds itself. */
type Verdicts = WitnessedVerdict & { here: AuditVerdict };
const PAGE = 100;
const WHOLE_PAGE = 1000;

export function AuditPage({ path: [named] }: { path: string[] }) {
  // An operator who names no tenant sees the log of the deployment.
  const { id: tenant, choice } = useTenant('audit', named, { all: 'all of them' });
  const at = tenant === null ? '/admin/v1/audit' : `/admin/v1/tenants/${tenant}/audit`;
  return <Log key={at} at={at} title={tenant === null ? 'the deployment' : tenant} choice={choice} />;
}

function Log({ at, title, choice }: { at: string; title: string; choice: preact.ComponentChildren }) {
  const [limit, setLimit] = useState(PAGE);
  const log = useAnswer(
    async (signal) => (await callJson<{ data: Entry[] }>(`${at}?limit=${limit}`, { signal })).data,
    [at, limit],
  );
  const { act, busy, error } = useAct();
  const [verdict, setVerdict] = useState<Verdicts | null>(null);
  const verify = () =>
    act(async () => {
      setVerdict(null);
      // The edge is asked first: an entry that comes between the two is no fault.
      const said = await callJson<WitnessedVerdict>(`${at}/verify`);
      const entries = await wholeLog(at);
      const heads = [{ seq: said.entries, hash: said.head }, ...(said.known === null ? [] : [said.known])];
      setVerdict({ ...said, here: await verifyChain(entries, ...heads) });
    });
  return (
    <div class="page">
      <header class="page-head">
        <h1>
          Audit of <bdi>{title}</bdi>
        </h1>
        {choice}
        <button type="button" class="primary" disabled={busy} onClick={() => void verify()}>
          {busy ? 'Computing …' : 'Verify the chain'}
        </button>
      </header>
      {error !== null && <ErrorNotice error={error} />}
      {verdict !== null && <Verdict of={verdict} />}
      {log.error !== null && <ErrorNotice error={log.error} again={log.again} />}
      {log.value === null && log.error === null && <Waiting what="Reading the log …" />}
      {log.value?.length === 0 && <Empty title="Nothing was changed yet" />}
      {log.value !== null && log.value.length > 0 && (
        <ol class="log">
          {log.value.map((entry) => (
            <li key={entry.seq}>
              <span class="seq">{inWhole(entry.seq)}</span>
              <div>
                <p>
                  <strong>{entry.action.replaceAll('-', ' ')}</strong>
                  {entry.tenant !== '' && (
                    <>
                      {' · '}
                      <bdi>{entry.tenant}</bdi>
                    </>
                  )}
                  <span class="small">
                    {' '}
                    by {entry.actor}, {inTime(entry.at)}
                  </span>
                </p>
                <details>
                  <summary class="small">
                    <code>{entry.hash.slice(0, 16)}</code>
                  </summary>
                  <code class="block wrap">{JSON.stringify(entry.detail)}</code>
                  <code class="block wrap small">follows {entry.previous}</code>
                </details>
              </div>
            </li>
          ))}
        </ol>
      )}
      {log.value !== null && log.value.length === limit && limit < WHOLE_PAGE && (
        <button type="button" onClick={() => setLimit(Math.min(limit + PAGE, WHOLE_PAGE))}>
          Older ones
        </button>
      )}
    </div>
  );
}

function Verdict({ of: { valid, entries, head, problem, known, here } }: { of: Verdicts }) {
  const wrong = problem ?? here.problem;
  if (wrong !== null || !valid || !here.valid) {
    return (
      <div class="notice error" role="alert">
        The log is not whole{wrong === null ? '' : `: entry ${wrong.seq}: ${wrong.why}`}.
      </div>
    );
  }
  return (
    <div class="notice good" role="status">
      <p>Whole: {inWhole(entries)} entries. The edge and this page have both computed every hash.</p>
      <p class="small">
        {known === null
          ? 'No other object of this edge knows where the log ends, so a cut end would not be noticed.'
          : `Another object of the edge knows entry ${inWhole(known.seq)}, and the log still has it, so its end was not cut off.`}
      </p>
      <p class="small wrap">
        Whoever controls all of the edge’s storage could change both. Keep this elsewhere:{' '}
        <code>{`${entries}:${head}`}</code>
        <CopyButton text={`${entries}:${head}`} />
      </p>
    </div>
  );
}

/** All entries, oldest first, as they were hashed. */
async function wholeLog(at: string): Promise<AuditEntry[]> {
  const all: AuditEntry[] = [];
  let before = Number.MAX_SAFE_INTEGER;
  while (before > 1) {
    const page = before === Number.MAX_SAFE_INTEGER ? '' : `&before=${before}`;
    const { data } = await callJson<{ data: Entry[] }>(`${at}?limit=${WHOLE_PAGE}${page}`);
    const last = data.at(-1);
    if (last === undefined) break;
    if (last.seq >= before) throw new Error('The log makes no progress.');
    before = last.seq;
    // The edge parses its own JSON, and writing that again gives the same text.
    all.push(...data.map((entry) => ({ ...entry, detail: JSON.stringify(entry.detail) })));
  }
  return all.reverse();
}
