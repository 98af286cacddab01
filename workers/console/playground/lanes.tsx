/** The lanes that are open, and how one is chosen: whose policy, and what the request tightens. */
import { useRef, useState } from 'preact/hooks';
import type { TenantAnswer } from '../../control/admin-answers.ts';
import { may, useSession } from '../net/session.tsx';
import type { Asked, LaneLine } from './ask.ts';
import { Lane } from './lane.tsx';
import { BudgetSlider, FloorSlider, type PolicyLine } from './line-controls.tsx';
import { type LaneAnswer, useLane } from './use-lane.ts';
import { Why } from './why.tsx';

export type LaneChoice = { id: number; line: LaneLine };

export function useLanes(first: readonly LaneLine[], most: number) {
  const [choices, setChoices] = useState<LaneChoice[]>(first.map((line, id) => ({ id, line })));
  const nextId = useRef(first.length);
  // A hook has to be called each time, so there is one for each lane that there can be, and a lane
  // keeps its own when another is closed.
  const slots = [useLane(), useLane(), useLane()].slice(0, most);
  const slotOf = useRef(new Map<number, number>());
  const takeSlot = (id: number) => {
    const known = slotOf.current.get(id);
    if (known !== undefined) return known;
    const taken = [...slotOf.current.values()];
    const free = slots.findIndex((_, slot) => !taken.includes(slot));
    slotOf.current.set(id, free);
    return free;
  };
  return {
    choices,
    lanes: choices.flatMap(({ id }) => slots[takeSlot(id)] ?? []),
    add: (line: LaneLine) => {
      const id = nextId.current++;
      setChoices((last) => [...last, { id, line }]);
    },
    remove: (id: number) => {
      slots[takeSlot(id)]?.clear();
      slotOf.current.delete(id);
      setChoices((last) => last.filter((choice) => choice.id !== id));
    },
    change: (id: number, line: LaneLine) =>
      setChoices((last) => last.map((choice) => (choice.id === id ? { id, line } : choice))),
  };
}

export function LaneFor({
  choice: { line },
  tenants,
  answer,
  prompt,
  onChange,
  onRemove,
}: {
  choice: LaneChoice;
  tenants: readonly TenantAnswer[];
  answer: LaneAnswer | undefined;
  prompt: Asked;
  onChange: (line: LaneLine) => void;
  onRemove: (() => void) | null;
}) {
  const session = useSession();
  const tenant = tenants.find(({ id }) => id === line.tenant?.id);
  const policy: PolicyLine = tenant?.policy ?? session.line ?? { floor: 0, budget: null };
  const name = tenant?.name ?? session.tenant ?? 'this key';
  if (answer === undefined) return null;
  const asked = line.tenant ?? { id: session.tenant ?? '', version: null };
  return (
    <Lane
      name={name}
      line={line}
      answer={answer}
      policyBudget={policy.budget}
      why={
        answer.state === 'done' && may(session, 'admin') ? (
          <Why tenant={asked} prompt={prompt} line={line} sent={answer.sent ?? ''} />
        ) : null
      }
      controls={
        <>
          <div class="lane-name">
            {tenants.length > 0 ? (
              <select
                aria-label="Tenant"
                value={line.tenant?.id}
                onChange={(event) => {
                  const chosen = tenants.find(({ id }) => id === event.currentTarget.value);
                  if (chosen === undefined) return;
                  const { id, policy_version: version } = chosen;
                  onChange({ tenant: { id, version }, floor: null, budget: null });
                }}
              >
                {tenants.map(({ id, name: tenantName }) => (
                  <option key={id} value={id}>
                    {tenantName}
                  </option>
                ))}
              </select>
            ) : (
              <h2 dir="auto">{name}</h2>
            )}
            {onRemove !== null && (
              <button type="button" class="quiet close" aria-label={`Close the lane of ${name}`} onClick={onRemove}>
                ×
              </button>
            )}
          </div>
          <FloorSlider policy={policy} value={line.floor} onChange={(floor) => onChange({ ...line, floor })} />
          <BudgetSlider policy={policy} value={line.budget} onChange={(budget) => onChange({ ...line, budget })} />
        </>
      }
    />
  );
}
