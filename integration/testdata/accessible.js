// What a screen reader, a keyboard and tired eyes need of the page; answers what is missing.
(() => {
  const wrong = [];
  const seen = (e) => e.getClientRects().length > 0 && !e.closest(".hidden, .skip");
  const all = (of) => [...document.querySelectorAll(of)];
  if (!document.documentElement.lang) wrong.push("the document has no language");
  if (!document.title) wrong.push("the document has no title");
  for (const one of ["header", "nav", "main", "footer", "h1"]) {
    if (all(one).length !== 1) wrong.push(`${all(one).length} elements ${one}, want 1`);
  }
  let before = 0;
  for (const h of all("h1, h2, h3, h4").filter(seen)) {
    const level = Number(h.tagName[1]);
    if (level > before + 1) wrong.push(`heading "${h.textContent}" is of level ${level} behind ${before}`);
    before = level;
  }
  for (const field of all("input, select")) {
    if (!field.labels.length || !field.labels[0].textContent.trim()) wrong.push(`field ${field.name} has no label`);
  }
  for (const one of all("button, a")) {
    if (!one.textContent.trim()) wrong.push(`${one.outerHTML} has no text`);
  }
  for (const one of all("section, nav")) {
    const by = one.getAttribute("aria-labelledby");
    if (!one.getAttribute("aria-label") && !document.getElementById(by)?.textContent) {
      wrong.push(`region ${one.id} has no name`);
    }
  }
  for (const table of all("table")) {
    if (!table.caption.textContent) wrong.push("a table has no caption");
    if (table.querySelector("th:not([scope=col])")) wrong.push("a table's head has no scope");
    if (table.getAttribute("role") !== "table") wrong.push("a table that is shown as cards is no table any more");
  }
  for (const one of all("svg")) {
    if (one.getAttribute("aria-hidden") !== "true" || !one.parentElement.querySelector("figcaption").textContent) {
      wrong.push("a chart says nothing in words");
    }
  }
  const ids = all("[id]").map((e) => e.id);
  if (new Set(ids).size !== ids.length) wrong.push("an id is there twice");

  const parts = (color) => color.match(/[\d.]+/g).map(Number);
  const light = (color) => parts(color).slice(0, 3).map((v) => v / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, n) => sum + v * [0.2126, 0.7152, 0.0722][n], 0);
  const ground = (e) => {
    for (; e; e = e.parentElement) {
      const color = getComputedStyle(e).backgroundColor;
      if ((parts(color)[3] ?? 1) > 0) return color;
    }
    return "rgb(255, 255, 255)";
  };
  for (const e of all("body *").filter(seen)) {
    if (![...e.childNodes].some((n) => n.nodeType === Node.TEXT_NODE && n.data.trim()) || e.disabled) continue;
    const [a, b] = [light(getComputedStyle(e).color), light(ground(e))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) wrong.push(`"${e.textContent.trim().slice(0, 40)}" has a contrast of ${ratio.toFixed(1)}`);
  }
  return wrong;
})()
