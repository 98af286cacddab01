/** A version goes live, for all prompts or for a share of them. Its own tests run first. */
import { useState } from 'preact/hooks';
import { callJson } from '../net/api.ts';
import { inPercent } from '../net/words.ts';
import { useAct } from '../parts/act.ts';
import { ErrorNotice } from '../parts/notice.tsx';
import { Sheet } from '../parts/sheet.tsx';
import { type Place, short } from './common/place.ts';
import { TestsVerdict, useTests } from './tests-verdict.tsx';

const SHARES = [1, 0.5, 0.2, 0.05, 0.01];

export function Activate({
  place: { at, version, revision },
  share: first = 1,
  onClose,
  onDone,
}: {
  /** Its revision is what the page has seen. If somebody was faster, nothing is done. */
  place: Pick<Place, 'at' | 'version' | 'revision'>;
  /** What is chosen at first: 1 for all prompts. */
  share?: number;
  onClose: () => void;
  onDone: () => void;
}) {
  const [share, setShare] = useState(first);
  const tests = useTests(at, version);
  const { act, busy, error } = useAct();
  const activate = async () => {
    const route = `${at}/policies/${version}/activate`;
    if (await act(() => callJson(route, { method: 'POST', body: { share }, ifMatch: revision }))) onDone();
  };
  return (
    <Sheet title={`Activate ${short(version)}`} onClose={onClose}>
      <form
        class="stack"
        onSubmit={(event) => {
          event.preventDefault();
          void activate();
        }}
      >
        <label>
          For
          <select value={share} onChange={(event) => setShare(Number(event.currentTarget.value))}>
            {[...new Set([...SHARES, first])].map((each) => (
              <option key={each} value={each}>
                {each === 1 ? 'all prompts' : `${inPercent(each)} of the prompts, as a canary`}
              </option>
            ))}
          </select>
        </label>
        <TestsVerdict tests={tests} />
        {error !== null && <ErrorNotice error={error} />}
        {error?.code === 'precondition_failed' && (
          <p>Somebody was faster. Close this and look at what is active now.</p>
        )}
        <div class="actions">
          <button type="button" onClick={onClose}>
            Cancel
          </button>
          <button type="submit" class="primary" disabled={busy || tests.value?.passed === false}>
            Activate
          </button>
        </div>
      </form>
    </Sheet>
  );
}
