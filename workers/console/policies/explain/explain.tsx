/** A bench of prompts: what fires for each under this version, and which level set each bound. */
import { useEffect, useState } from 'preact/hooks';
import { may, useSession } from '../../net/session.tsx';
import { kept } from '../../parts/kept.ts';
import { Empty } from '../../parts/notice.tsx';
import { ModelField, useModels } from '../common/model-field.tsx';
import type { PartProps } from '../common/place.ts';
import { NO_PROMPTS, PromptsField, readWritten } from '../common/prompts-field.tsx';
import { useBench } from './bench.ts';
import { BenchRow } from './bench-row.tsx';

/** Each is a call or two, so more would take minutes. A simulation is for those. */
const MOST_PROMPTS = 200;

export function ExplainPart({ place: { id, at, version, history } }: PartProps) {
  const session = useSession();
  const last = kept(`bench ${id}`, () => ({ written: NO_PROMPTS }));
  const [written, setWritten] = useState(last.written);
  last.written = written;
  const read = readWritten(written);
  const { rows, busy, start, stop } = useBench();
  useEffect(() => stop, []);
  const mayAsk = may(session, 'inference');
  const models = useModels();
  const [chosen, setChosen] = useState<string | null>(null);
  const [looks, setLooks] = useState(false);
  const [beside, setBeside] = useState(true);
  const model = chosen ?? models.value?.[0] ?? null;
  const isActive = version === history.active;
  const tooMany = read.prompts.length > MOST_PROMPTS;
  const explain = () =>
    void start(read.prompts, {
      ...{ at, version, active: beside && !isActive ? history.active : null },
      model: looks && mayAsk ? model : null,
    });
  return (
    <>
      <form
        class="stack"
        onSubmit={(event) => {
          event.preventDefault();
          if (busy) stop();
          else explain();
        }}
      >
        <PromptsField written={written} read={read} disabled={busy} onChange={setWritten} />
        <div class="options">
          {!isActive && (
            <label class="check">
              <input type="checkbox" checked={beside} onChange={(event) => setBeside(event.currentTarget.checked)} />
              <span>beside the active version</span>
            </label>
          )}
          {mayAsk && model !== null && (
            <>
              <label class="check">
                <input type="checkbox" checked={looks} onChange={(event) => setLooks(event.currentTarget.checked)} />
                <span>with a backend’s second look, which costs the prompt and a token</span>
              </label>
              {looks && <ModelField models={models.value ?? []} value={model} onChange={setChosen} />}
            </>
          )}
        </div>
        <div class="actions start">
          <button type="submit" class="primary" disabled={!busy && (read.prompts.length === 0 || tooMany)}>
            {busy ? 'Stop' : 'Explain'}
          </button>
          {tooMany && <span class="small">The bench takes {MOST_PROMPTS} prompts. For more, simulate.</span>}
        </div>
      </form>
      {rows.length === 0 ? (
        <Empty title="What would come of a prompt?">
          <p>
            Every level’s policy counts, as it would for a client. Nothing is answered, and without a second look
            nothing is spent.
          </p>
        </Empty>
      ) : (
        <ol class="bench" aria-busy={busy}>
          {rows.map((row, index) => (
            <BenchRow key={index} row={row} waiting={busy} />
          ))}
        </ol>
      )}
    </>
  );
}
