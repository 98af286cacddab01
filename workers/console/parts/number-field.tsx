/** A number, or nothing. */
export function NumberField({
  name,
  value,
  hint,
  onChange,
  ...bounds
}: {
  name: string;
  value: number | null;
  hint?: string;
  min?: number;
  max?: number;
  step: number;
  onChange: (value: number | null) => void;
}) {
  return (
    <label class="inline">
      <span>{name}</span>
      <input
        type="number"
        {...bounds}
        placeholder={hint}
        value={value ?? ''}
        onInput={(event) => {
          const number = event.currentTarget.valueAsNumber;
          onChange(Number.isNaN(number) ? null : number);
        }}
      />
    </label>
  );
}
