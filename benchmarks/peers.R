# R's side of the benchmarks: reads one command per line, answers one line, tab-separated; see workers.py.
#   versions
#   prepare  KIND  TOOL  CSV  FORMULA  FAMILY
#   run
options(warn = -1)
reply <- function(...) { cat(..., sep = "\t"); cat("\n"); flush(stdout()) }
installed <- function(p) requireNamespace(p, quietly = TRUE)
need <- function(p) if (!installed(p)) stop(paste(p, "is not installed"))
timed <- function(expr) { t <- proc.time(); force(expr); as.numeric((proc.time() - t)[c("elapsed")]) }

fitter <- function(tool, formula, family, d) {
  if (startsWith(tool, "glmmTMB")) {
    need("glmmTMB")
    f <- switch(family, nbinom2 = glmmTMB::nbinom2(), poisson = poisson(), binomial = binomial(), gaussian = gaussian())
    function() glmmTMB::glmmTMB(formula, d, family = f)
  } else {
    need("lme4")
    if (family == "nbinom2") stop("glmer.nb refits in a loop and is left out")
    if (family == "gaussian") return(function() lme4::lmer(formula, d, REML = FALSE))
    function() lme4::glmer(formula, d, family = family)
  }
}

prepare <- function(kind, tool, csv, formula, family) {
  d <- read.csv(csv, stringsAsFactors = TRUE)
  fit <- fitter(tool, as.formula(formula), family, d)
  if (grepl("DHARMa", tool)) need("DHARMa")
  if (kind == "fit") return(function() list(value = as.numeric(logLik(fit()))))
  if (kind == "residuals") {
    m <- fit()
    return(function() { DHARMa::simulateResiduals(m, n = 250); list(value = NaN) })
  }
  function() {
    t1 <- timed(m <- fit())
    if (!grepl("DHARMa", tool)) {
      t2 <- timed(simulate(m, nsim = 250))
      return(list(value = as.numeric(logLik(m)), parts = c(fit = t1, simulations = t2)))
    }
    t2 <- timed(r <- DHARMa::simulateResiduals(m, n = 250))
    file <- tempfile(fileext = ".png")
    t3 <- timed({ png(file); plot(r); dev.off() })
    list(value = as.numeric(logLik(m)), parts = c(fit = t1, residuals = t2, "battery and figure" = t3))
  }
}

run <- function() stop("nothing prepared")
input <- file("stdin", "r")
while (length(line <- readLines(input, 1L)) > 0) {
  words <- strsplit(line, "\t", fixed = TRUE)[[1]]
  tryCatch({
    if (words[1] == "versions") {
      found <- Filter(installed, c("lme4", "glmmTMB", "DHARMa"))
      reply("ok", paste("R", getRversion()), vapply(found, function(p) paste(p, packageVersion(p)), ""))
    } else if (words[1] == "prepare") {
      run <- do.call(prepare, as.list(words[-1]))
      reply("ok")
    } else {
      seconds <- timed(out <- suppressMessages(run()))
      parts <- if (length(out$parts)) paste(names(out$parts), out$parts, sep = "=")
      reply("ok", seconds, format(out$value, digits = 15), parts)
    }
  }, error = function(e) reply("error", gsub("[\t\n]", " ", conditionMessage(e))))
}
