/**
 * What a request may ask for beyond its policy: a higher floor, a smaller budget. A request can
 * only tighten, so each slider ends where the policy stops it, and shows the part that is shut.
 */
import { useId } from 'preact/hooks';
import { inShort, inTwo } from '../net/words.ts';

/** The bounds of the policy, before any prompt. */
export type PolicyLine = { floor: number; budget: number | null };

export function FloorSlider({
  policy,
  value,
  onChange,
}: {
  policy: PolicyLine;
  /** null: what the policy says. */
  value: number | null;
  onChange: (value: number | null) => void;
}) {
  const id = useId();
  const now = Math.max(value ?? policy.floor, policy.floor);
  return (
    <div class="slider">
      <label for={id}>Floor</label>
      <output for={id}>{inTwo(now)}</output>
      <div class="track floor-track" style={{ '--stop': policy.floor }}>
        <input
          id={id}
          type="range"
          min={0}
          max={1}
          step={0.01}
          value={now}
          aria-valuetext={`${inTwo(now)}, the policy's is ${inTwo(policy.floor)}`}
          onInput={(event) => {
            const wanted = Math.max(event.currentTarget.valueAsNumber, policy.floor);
            // The browser moves the thumb before we say no.
            event.currentTarget.valueAsNumber = wanted;
            onChange(wanted <= policy.floor ? null : wanted);
          }}
        />
      </div>
      <p class="slider-note">{now <= policy.floor ? 'as the policy says' : `policy ${inShort(policy.floor)}`}</p>
    </div>
  );
}

/** Where a slider without a budget ends. */
const WITHOUT_BUDGET = 40;
/** How far beyond the policy's budget its slider goes, to show where it stops. */
const BEYOND = 1.5;

export function BudgetSlider({
  policy,
  value,
  onChange,
}: {
  policy: PolicyLine;
  value: number | null;
  onChange: (value: number | null) => void;
}) {
  const id = useId();
  const { budget } = policy;
  const most = budget === null ? WITHOUT_BUDGET : Math.max(budget * BEYOND, 1);
  const now = value ?? budget;
  const shown = now === null ? '∞' : inTwo(now);
  const take = (wanted: number) => {
    if (budget === null) return onChange(wanted >= WITHOUT_BUDGET ? null : wanted);
    return onChange(wanted >= budget ? null : wanted);
  };
  return (
    <div class="slider">
      <label for={id}>Budget</label>
      <output for={id}>
        {shown} <span class="unit">nats</span>
      </output>
      <div class="track budget-track" style={{ '--stop': budget === null ? 1 : Math.min(budget / most, 1) }}>
        <input
          id={id}
          type="range"
          min={0}
          max={most}
          step={most / 120}
          value={now ?? most}
          aria-valuetext={`${shown} nats, the policy's is ${budget === null ? 'none' : inTwo(budget)}`}
          onInput={(event) => {
            const wanted = Math.min(event.currentTarget.valueAsNumber, budget ?? most);
            event.currentTarget.valueAsNumber = wanted;
            take(Math.round(wanted * 100) / 100);
          }}
        />
      </div>
      <p class="slider-note">
        {value === null ? 'as the policy says' : `policy ${budget === null ? 'none' : inShort(budget)}`}
      </p>
    </div>
  );
}
