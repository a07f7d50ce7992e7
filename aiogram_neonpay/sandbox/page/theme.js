// Owns light and dark: what the system asks for, until somebody chooses. Not a module: it runs before the first drawing.

(() => {
  const ORDER = ["system", "light", "dark"];
  let theme = localStorage.getItem("theme") ?? "system";

  const apply = () => {
    if (theme === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    const button = document.getElementById("theme");
    button?.setAttribute("aria-label", `Colours: ${theme}`);
    button?.setAttribute("title", `Colours: ${theme}`);
    button?.querySelector("use").setAttribute("href", `#i-${theme}`);
  };

  apply();
  document.addEventListener("DOMContentLoaded", () => {
    apply();
    document.getElementById("theme").addEventListener("click", () => {
      theme = ORDER[(ORDER.indexOf(theme) + 1) % ORDER.length];
      localStorage.setItem("theme", theme);
      apply();
    });
  });
})();
