# Fits the models of a folder with glmmTMB, appends one line a model to `found.tsv` and writes `NAME.estimates`.
# Usage: Rscript fit.R FOLDER. `models.tsv` has: name, family, formula, zi, disp, reml; NAME.csv holds the data.
suppressWarnings(suppressMessages(library(glmmTMB)))
folder <- commandArgs(TRUE)[1]
cat(as.character(packageVersion("glmmTMB")), file = file.path(folder, "version"))
models <- read.delim(file.path(folder, "models.tsv"), stringsAsFactors = FALSE, quote = "")
done <- file.path(folder, "found.tsv")
if (length(readLines(done)) > 0) models <- models[!models$name %in% read.delim(done, header = FALSE)[[1]], ]

fit_one <- function(m, d, start) {
  tryCatch(suppressWarnings(suppressMessages(glmmTMB(
    as.formula(m$formula), d, family = eval(parse(text = m$family)), start = start,
    ziformula = as.formula(m$zi), dispformula = as.formula(m$disp), REML = m$reml == "yes", se = FALSE
  ))), error = function(e) NULL)
}

# Where the default start has no likelihood: least squares inside the range of the mean, cut points apart.
other_start <- function(m, d) {
  if (grepl("ordbeta", m$family)) return(list(psi = c(-1, 1)))
  fixed <- lme4::nobars(as.formula(m$formula))
  y <- pmax(d$y, 0.5)
  if (grepl("inverse", m$family)) y <- 1 / y
  list(beta = unname(coef(lm(update(fixed, y ~ .), d))))
}

# Part, grouping factor, names and numbers, one line for coefficients and one for each covariance matrix.
write_estimates <- function(fit, file) {
  line <- function(part, group, names, numbers) {
    cat(part, group, paste(names, collapse = " "), paste(format(numbers, digits = 16), collapse = " "), sep = "\t", file = file, append = TRUE)
    cat("\n", file = file, append = TRUE)
  }
  unlink(file)
  file.create(file)
  own <- switch(family(fit)$family, ordbeta = fit$fit$par[names(fit$fit$par) == "psi"], family_params(fit))
  if (length(own) > 0) line("family", "", paste0("p", seq_along(own)), own)
  for (part in names(fixef(fit))) {
    b <- fixef(fit)[[part]]
    # the dispersion of a gaussian is a variance or a standard deviation, by the version
    if (part == "disp" && family(fit)$family == "gaussian") b <- b * gaussian_scale()
    if (length(b) > 0) line(part, "", names(b), b)
    for (group in names(VarCorr(fit)[[part]])) {
      v <- as.matrix(VarCorr(fit)[[part]][[group]])
      line(part, group, colnames(v), c(v[, ]))
    }
  }
}

# What the dispersion coefficients of a gaussian are multiplied by to be logarithms of standard deviations.
gaussian_scale <- function() {
  fit <- glmmTMB(y ~ 1, data.frame(y = c(1, 5, 20, 11, 2, 8)))
  log(sigma(fit)) / fixef(fit)$disp[[1]]
}

for (i in seq_len(nrow(models))) {
  m <- models[i, ]
  d <- read.csv(file.path(folder, paste0(m$name, ".csv")), stringsAsFactors = TRUE)
  begin <- proc.time()[["elapsed"]]
  fit <- fit_one(m, d, NULL)
  if (is.null(fit)) fit <- tryCatch(fit_one(m, d, other_start(m, d)), error = function(e) NULL)
  if (!is.null(fit)) try(write_estimates(fit, file.path(folder, paste0(m$name, ".estimates"))), silent = TRUE)
  value <- if (is.null(fit)) NA else -fit$fit$objective
  code <- if (is.null(fit)) NA else fit$fit$convergence
  seconds <- proc.time()[["elapsed"]] - begin
  cat(m$name, format(value, digits = 15), code, seconds, sep = "\t", file = file.path(folder, "found.tsv"), append = TRUE)
  cat("\n", file = file.path(folder, "found.tsv"), append = TRUE)
}
