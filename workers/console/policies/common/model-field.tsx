/** Which model answers. */
import type * as z from 'zod';
import type { ModelList } from '#shared/api/models.ts';
import type { PoolAnswer } from '../../../control/pool.ts';
import { callJson } from '../../net/api.ts';
import { useSession } from '../../net/session.tsx';
import { type Answer, useAnswer } from '../../net/use-answer.ts';

/** The models that answer here, as far as whoever is signed in may see them. */
export function useModels(): Answer<string[]> {
  const { kind } = useSession();
  return useAnswer(
    async (signal) => {
      if (kind === 'operator') {
        const pool = await callJson<z.infer<typeof PoolAnswer>>('/admin/v1/pool', { signal });
        return pool.models.map(({ id }) => id);
      }
      return (await callJson<ModelList>('/v1/models', { signal })).data.map(({ id }) => id);
    },
    [kind],
  );
}

export function ModelField({
  models,
  value,
  disabled = false,
  onChange,
}: {
  models: readonly string[];
  value: string;
  disabled?: boolean;
  onChange: (model: string) => void;
}) {
  return (
    <label class="inline">
      <span>Model</span>
      <select value={value} disabled={disabled} onChange={(event) => onChange(event.currentTarget.value)}>
        {models.map((model) => (
          <option key={model}>{model}</option>
        ))}
      </select>
    </label>
  );
}
