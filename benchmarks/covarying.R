# The fits of covarying.py by R's glmmTMB: Rscript covarying.R FOLDER, writes FOLDER/times.csv (user and system seconds).
# `propto` is younger than some versions: there the same model is `us` with all correlations held, standard deviations one.
suppressMessages({library(glmmTMB); library(stats)})
folder <- commandArgs(TRUE)[1]
read <- function(name) { d <- read.csv(file.path(folder, paste0(name, ".csv"))); d$g <- factor(1); d }
timed <- function(case, fit) {
  took <- system.time(f <- fit())
  data.frame(case = case, seconds = took[["user.self"]] + took[["sys.self"]], llf = as.numeric(logLik(f)))
}
times <- read("times"); times$tt <- numFactor(times$t); times$kk <- factor(times$k, levels = seq(min(times$k), max(times$k)))
places <- read("places"); places$pos <- numFactor(places$u, places$v)
species <- read("species"); species$s <- factor(species$s, levels = unique(species$s))
R <- as.matrix(read.csv(file.path(folder, "relation.csv")))
n <- nrow(R)
lower <- t(chol(R)); lower <- lower / diag(lower)
rows <- t(lower)[upper.tri(lower)]  # row by row
propto <- function(formula, family) glmmTMB(formula, species, family = family,
  start = list(theta = c(rep(0, n), rows)), map = list(theta = factor(c(rep(1, n), rep(NA, length(rows))))))
invisible(glmmTMB(y ~ x + exp(pos + 0 | g), places[1:40, ]))  # first use
out <- rbind(
  timed("ou gaussian", function() glmmTMB(y ~ x + ou(tt + 0 | g), times)),
  timed("ar1 gaussian", function() glmmTMB(y ~ x + ar1(kk + 0 | g), times)),
  timed("exp gaussian", function() glmmTMB(y ~ x + exp(pos + 0 | g), places)),
  timed("exp poisson", function() glmmTMB(z ~ x + exp(pos + 0 | g), places, family = poisson)),
  timed("propto gaussian", function() propto(y ~ x + us(s + 0 | g), gaussian)),
  timed("propto poisson", function() propto(z ~ x + us(s + 0 | g), poisson)))
out$version <- as.character(packageVersion("glmmTMB"))
write.csv(out, file.path(folder, "times_r.csv"), row.names = FALSE)
