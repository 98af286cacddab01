/** Ends a canary; without one, goes back to the version before. It asks first, and says to what. */
import { callJson } from '../net/api.ts';
import { inPercent } from '../net/words.ts';
import { useAct } from '../parts/act.ts';
import { ErrorNotice } from '../parts/notice.tsx';
import { Sheet } from '../parts/sheet.tsx';
import { type Place, short } from './common/place.ts';

export function RollBack({
  place: { at, history, revision },
  onClose,
  onDone,
}: {
  place: Place;
  onClose: () => void;
  onDone: () => void;
}) {
  const { act, busy, error } = useAct();
  const { active, canary } = history;
  const rollBack = async () => {
    if (await act(() => callJson(`${at}/rollback`, { method: 'POST', ifMatch: revision }))) onDone();
  };
  return (
    <Sheet title={canary === null ? 'Roll back' : 'End the canary'} onClose={onClose}>
      <div class="stack">
        {canary === null ? (
          <p>
            The version that was active before <code>{short(active)}</code> becomes active again, for all prompts.
          </p>
        ) : (
          <p>
            The {inPercent(canary.share)} of the prompts that get <code>{short(canary.version)}</code> go back to{' '}
            <code>{short(active)}</code>. The version stays, as a draft.
          </p>
        )}
        {error !== null && <ErrorNotice error={error} />}
        <div class="actions">
          <button type="button" onClick={onClose}>
            Cancel
          </button>
          <button type="button" class="danger" disabled={busy} onClick={() => void rollBack()}>
            {canary === null ? 'Roll back' : 'End it'}
          </button>
        </div>
      </div>
    </Sheet>
  );
}
