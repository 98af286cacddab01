/** The field for a name that people read, in any script. */
export function NameField({ name, onName }: { name: string; onName: (name: string) => void }) {
  return (
    <label>
      Name
      <input required maxLength={200} dir="auto" value={name} onInput={(event) => onName(event.currentTarget.value)} />
    </label>
  );
}
