/** Which two versions, which model, and how tokens are drawn: alike for both. */
import { NumberField } from '../../parts/number-field.tsx';
import { ModelField } from '../common/model-field.tsx';
import type { Place } from '../common/place.ts';
import { VersionChoice } from '../common/versions.tsx';
import type { Asked } from './run.ts';

export function Settings({
  history,
  models,
  asked,
  disabled,
  onChange,
}: {
  history: Place['history'];
  models: readonly string[];
  asked: Asked;
  disabled: boolean;
  onChange: (change: Partial<Asked>) => void;
}) {
  return (
    <fieldset class="options" disabled={disabled}>
      <legend class="hidden">What is simulated</legend>
      <VersionChoice
        label="Before"
        history={history}
        value={asked.before}
        onChange={(before) => onChange({ before })}
      />
      <VersionChoice label="After" history={history} value={asked.after} onChange={(after) => onChange({ after })} />
      <ModelField models={models} value={asked.model} onChange={(model) => onChange({ model })} />
      <NumberField
        name="Most tokens"
        value={asked.maxTokens}
        min={1}
        step={1}
        onChange={(maxTokens) => onChange({ maxTokens: maxTokens ?? 128 })}
      />
      <NumberField
        name="Temperature"
        value={asked.temperature}
        min={0}
        max={2}
        step={0.1}
        hint="the model’s own"
        onChange={(temperature) => onChange({ temperature })}
      />
      <NumberField name="Seed" value={asked.seed} step={1} onChange={(seed) => onChange({ seed: seed ?? 1 })} />
      <label class="check">
        <input
          type="checkbox"
          checked={asked.scores}
          onChange={(event) => onChange({ scores: event.currentTarget.checked })}
        />
        <span>ask the model’s reward and cost heads</span>
      </label>
    </fieldset>
  );
}
