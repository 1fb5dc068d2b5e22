// The switch of versions in the sidebar: versions.json lies at the root of each built version and lists all of them.
document.addEventListener("DOMContentLoaded", async () => {
  const select = document.querySelector("#version-switch");
  if (!select || location.protocol === "file:") return;
  const root = new URL(document.documentElement.dataset.content_root || "./", location.href);
  const answer = await fetch(new URL("versions.json", root));
  if (!answer.ok) return;
  const page = location.href.slice(root.href.length);
  select.replaceChildren();
  for (const { name, title } of await answer.json()) {
    select.add(new Option(title, name, false, name === select.dataset.version));
  }
  select.addEventListener("change", async () => {
    const home = new URL(`../${select.value}/`, root);
    const same = new URL(page, home);
    const there = await fetch(same, { method: "HEAD" }).catch(() => ({ ok: false }));
    location.href = there.ok ? same : home; // a page that the other version lacks: its first page
  });
});
