# Writes the CSV files that come from R packages: Rscript export.R, in this folder. Needs lme4 and glmmTMB.
write <- function(data, name) write.csv(data, paste0(name, ".csv"), row.names = FALSE, quote = FALSE)

from_lme4 <- new.env()
utils::data(list = c("cbpp", "sleepstudy", "grouseticks", "Penicillin", "Pastes"), package = "lme4", envir = from_lme4)
write(from_lme4$cbpp, "cbpp")
write(from_lme4$sleepstudy, "sleepstudy")
ticks <- from_lme4$grouseticks
ticks$YEAR <- 1900L + as.integer(as.character(ticks$YEAR))
write(ticks[c("INDEX", "TICKS", "BROOD", "HEIGHT", "YEAR", "LOCATION")], "grouseticks")
write(from_lme4$Penicillin, "penicillin")
write(from_lme4$Pastes[c("strength", "batch", "cask")], "pastes")

from_glmmTMB <- new.env()
utils::data(list = c("Salamanders", "Owls"), package = "glmmTMB", envir = from_glmmTMB)
write(from_glmmTMB$Salamanders, "salamanders")
owls <- from_glmmTMB$Owls
write(owls[c("Nest", "FoodTreatment", "SexParent", "ArrivalTime", "SiblingNegotiation", "BroodSize")], "owls")
